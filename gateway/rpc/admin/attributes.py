"""AdminService: matching attributes of projects, domains and workflows (ref §14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flyteidl.admin import (
    matchable_resource_pb2,
    project_attributes_pb2,
    project_domain_attributes_pb2,
    workflow_attributes_pb2,
)

from domain.registry import attributes
from domain.registry.attributes import AttributesKey
from gateway.registry.append import check_place, decide, stream_of
from gateway.services.container import Services
from gateway.services.errors import accepted, invalid, missing
from projections.queries import registry


@dataclass(frozen=True, slots=True)
class _Level:
    """Whose attributes: a project's, a domain's of it, or a workflow's in that."""

    project: str
    domain: str = ""
    workflow: str = ""

    @classmethod
    def named(cls, **parts: str) -> _Level:
        """Return a level whose every part is given; raises Refused."""
        for part, text in parts.items():
            if not text:
                raise invalid(f"Expected a {part}, but it is empty")
        return cls(**parts)

    def of(self, resource: str) -> AttributesKey:
        """Return the place of a resource's attributes."""
        return AttributesKey(
            resource=resource,
            project=self.project,
            domain=self.domain,
            workflow=self.workflow,
        )


class AttributeRpcs:
    """RPCs on matching attributes."""

    services: Services

    async def UpdateProjectDomainAttributes(  # noqa: N802
        self, request: Any, _context: Any
    ) -> Any:
        """Set a project and domain's attributes."""
        at = request.attributes
        level = _Level.named(project=at.project, domain=at.domain)
        await self._set(level, at.matching_attributes)
        return project_domain_attributes_pb2.ProjectDomainAttributesUpdateResponse()

    async def GetProjectDomainAttributes(  # noqa: N802
        self, request: Any, _context: Any
    ) -> Any:
        """Return a project and domain's attributes."""
        level = _Level.named(project=request.project, domain=request.domain)
        reply = project_domain_attributes_pb2.ProjectDomainAttributesGetResponse()
        at = reply.attributes
        at.project, at.domain = level.project, level.domain
        at.matching_attributes.CopyFrom(await self._get(level, request.resource_type))
        return reply

    async def DeleteProjectDomainAttributes(  # noqa: N802
        self, request: Any, _context: Any
    ) -> Any:
        """Delete a project and domain's attributes."""
        level = _Level.named(project=request.project, domain=request.domain)
        await self._delete(level, request.resource_type)
        return project_domain_attributes_pb2.ProjectDomainAttributesDeleteResponse()

    async def UpdateProjectAttributes(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Set a project's attributes."""
        at = request.attributes
        await self._set(_Level.named(project=at.project), at.matching_attributes)
        return project_attributes_pb2.ProjectAttributesUpdateResponse()

    async def GetProjectAttributes(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a project's attributes; execution settings default to the system's."""
        level = _Level.named(project=request.project)
        reply = project_attributes_pb2.ProjectAttributesGetResponse()
        reply.attributes.project = level.project
        found = await self._find(level, request.resource_type)
        if found is None:
            name = resource_name(request.resource_type)
            if name != "WORKFLOW_EXECUTION_CONFIG":
                raise missing(name, level.project)
            found = matchable_resource_pb2.MatchingAttributes()
            found.workflow_execution_config.max_parallelism = (
                self.services.settings.admission.max_parallelism
            )
        reply.attributes.matching_attributes.CopyFrom(found)
        return reply

    async def DeleteProjectAttributes(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Delete a project's attributes."""
        await self._delete(_Level.named(project=request.project), request.resource_type)
        return project_attributes_pb2.ProjectAttributesDeleteResponse()

    async def UpdateWorkflowAttributes(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Set a workflow's attributes."""
        at = request.attributes
        level = _Level.named(project=at.project, domain=at.domain, workflow=at.workflow)
        await self._set(level, at.matching_attributes)
        return workflow_attributes_pb2.WorkflowAttributesUpdateResponse()

    async def GetWorkflowAttributes(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a workflow's attributes."""
        level = _Level.named(
            project=request.project, domain=request.domain, workflow=request.workflow
        )
        reply = workflow_attributes_pb2.WorkflowAttributesGetResponse()
        at = reply.attributes
        at.project, at.domain, at.workflow = level.project, level.domain, level.workflow
        at.matching_attributes.CopyFrom(await self._get(level, request.resource_type))
        return reply

    async def DeleteWorkflowAttributes(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Delete a workflow's attributes."""
        level = _Level.named(
            project=request.project, domain=request.domain, workflow=request.workflow
        )
        await self._delete(level, request.resource_type)
        return workflow_attributes_pb2.WorkflowAttributesDeleteResponse()

    async def ListMatchableAttributes(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return every level's attributes of a resource."""
        name = resource_name(request.resource_type)
        reply = matchable_resource_pb2.ListMatchableAttributesResponse()
        for row in await registry.list_attributes(self.services.pool, name):
            found = reply.configurations.add(
                project=row["project"],
                domain=row["domain"],
                workflow=row["workflow"],
                launch_plan=row["launch_plan"],
            )
            found.attributes.ParseFromString(bytes(row["attributes"]))
        return reply

    async def _set(self, level: _Level, given: Any) -> None:
        await check_place(self.services, level.project, level.domain)
        resource = accepted(attributes.resource_of(given))
        place = level.of(resource)
        now = self.services.clock.now_us()
        await decide(
            self.services,
            _stream(level, resource),
            lambda known: attributes.replace(known, place, given, now_us=now),
        )

    async def _find(self, level: _Level, number: int) -> Any | None:
        name = resource_name(number)
        data = await registry.get_attributes(
            self.services.pool, name, level.project, level.domain, level.workflow
        )
        if data is None:
            return None
        return matchable_resource_pb2.MatchingAttributes.FromString(data)

    async def _get(self, level: _Level, number: int) -> Any:
        found = await self._find(level, number)
        if found is None:
            where = "/".join(
                p for p in (level.project, level.domain, level.workflow) if p
            )
            raise missing(resource_name(number), where)
        return found

    async def _delete(self, level: _Level, number: int) -> None:
        name = resource_name(number)
        place = level.of(name)
        now = self.services.clock.now_us()
        await decide(
            self.services,
            _stream(level, name),
            lambda known: attributes.delete(known, place, now_us=now),
        )


def resource_name(number: int) -> str:
    """Return the name of a MatchableResource; raises Refused for an unknown one."""
    known = matchable_resource_pb2.MatchableResource
    if number not in known.values():
        raise invalid(f"Expected a matchable resource, but got {number}")
    return str(known.Name(number))


def _stream(level: _Level, resource: str) -> str:
    parts = (level.project, level.domain or "-", level.workflow or "-", resource)
    return stream_of("attributes", *parts)
