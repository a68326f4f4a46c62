"""Registration of launch plans, and which version of each is active (ref §2.1)."""

from __future__ import annotations

from flyteidl.admin import launch_plan_pb2
from flyteidl.core import interface_pb2

from domain.graph import entity_ref
from domain.registry import launch_plans
from domain.registry.identity import checked_ref
from gateway.registry.append import check_place, decide, stream_of
from gateway.services.container import Services
from gateway.services.errors import accepted, invalid, missing
from gateway.services.reachable import reachable_channels
from projections.queries import registry
from schemas.ids import EntityRef


async def create_launch_plan(
    services: Services, request: launch_plan_pb2.LaunchPlanCreateRequest
) -> None:
    """Register a launch plan version of a workflow that exists."""
    ref = accepted(checked_ref(request.id, "LAUNCH_PLAN"))
    await check_place(services, ref.project, ref.domain)
    workflow = entity_ref(request.spec.workflow_id, "WORKFLOW")
    row = await registry.get_version(services.pool, registry.WORKFLOWS, workflow)
    if row is None:
        raise missing("WORKFLOW", workflow.text())
    interface = interface_pb2.TypedInterface.FromString(row.interface)
    now = services.clock.now_us()
    await decide(
        services.store,
        _plan_stream(ref),
        lambda known: launch_plans.register(
            known,
            request,
            interface,
            now_us=now,
            reachable=reachable_channels(services.settings.notify),
        ),
    )


async def update_launch_plan(
    services: Services, request: launch_plan_pb2.LaunchPlanUpdateRequest
) -> None:
    """Activate or deactivate a launch plan version."""
    ref = accepted(checked_ref(request.id, "LAUNCH_PLAN"))
    if request.state not in launch_plan_pb2.LaunchPlanState.values():
        raise invalid(f"Expected a launch plan's state, but got {request.state}")
    now = services.clock.now_us()
    active = request.state == launch_plan_pb2.ACTIVE
    change = launch_plans.activate if active else launch_plans.deactivate
    await decide(
        services.store, _plan_stream(ref), lambda known: change(known, ref, now_us=now)
    )


def _plan_stream(ref: EntityRef) -> str:
    return stream_of("launch_plan", ref.project, ref.domain, ref.name)
