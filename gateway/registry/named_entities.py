"""Names of tasks, workflows and launch plans: their descriptions and states."""

from __future__ import annotations

from domain.registry import named_entities
from gateway.registry.append import decide, stream_of
from gateway.services.container import Services
from schemas.messages.registry_events import NamedEntityDescribed


async def describe(
    services: Services,
    kind: str,
    place: tuple[str, str, str],
    *,
    description: str,
    state: int,
) -> None:
    """Set description and state of a name; `place` is its project, domain and name."""
    project, domain, name = place
    event = NamedEntityDescribed(
        occurred_at_us=services.clock.now_us(),
        kind=kind,
        project=project,
        domain=domain,
        name=name,
        description=description,
        state=state,
    )
    await decide(
        services.store,
        stream_of("named_entity", kind, *place),
        lambda known: named_entities.describe(known, event),
    )
