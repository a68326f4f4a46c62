"""Projects: registered, replaced, and the one that is there from the start."""

from __future__ import annotations

from typing import Any

from domain.registry import projects
from gateway.registry.append import decide, stream_of
from gateway.services.container import Services
from projections.queries import registry

FIRST = "flytesnacks"
"""The project that is there from the start."""


async def create_project(services: Services, project: Any) -> None:
    """Register an admin.Project."""
    now = services.clock.now_us()
    await decide(
        services,
        stream_of("project", project.id),
        lambda known: projects.register(known, project, now_us=now),
    )


async def update_project(services: Services, project: Any) -> None:
    """Replace an admin.Project."""
    now = services.clock.now_us()
    await decide(
        services,
        stream_of("project", project.id),
        lambda known: projects.replace(known, project, now_us=now),
    )


async def seed(services: Services, identifier: str) -> None:
    """Register the project that is there from the start, once."""
    if await registry.get_project(services.pool, identifier) is None:
        await create_project(services, projects.new_project(identifier, identifier))
