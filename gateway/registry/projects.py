"""Projects: registered, replaced, and the first one seeded."""

from __future__ import annotations

from flyteidl.admin import project_pb2

from domain.registry import projects
from gateway.registry.append import decide, stream_of
from gateway.services.container import Services
from projections.queries import registry

FIRST = "flytesnacks"
"""The project of a new engine."""


async def create_project(services: Services, project: project_pb2.Project) -> None:
    """Register a project."""
    now = services.clock.now_us()
    await decide(
        services.store,
        stream_of("project", project.id),
        lambda known: projects.register(known, project, now_us=now),
    )


async def update_project(services: Services, project: project_pb2.Project) -> None:
    """Replace a project."""
    now = services.clock.now_us()
    await decide(
        services.store,
        stream_of("project", project.id),
        lambda known: projects.replace(known, project, now_us=now),
    )


async def seed(services: Services, identifier: str) -> None:
    """Register a project unless it exists."""
    if await registry.get_project(services.pool, identifier) is None:
        await create_project(services, projects.new_project(identifier, identifier))
