"""AdminService: matching attributes of projects, domains and workflows (ref §14)."""

from __future__ import annotations

from dataclasses import dataclass

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
from gateway.services.handlers import CallContext
from projections.queries import registry


@dataclass(frozen=True, slots=True)
class _Level:
    """What attributes apply to: a project, a domain of it, or a workflow in that."""

    project: str
    domain: str = ""
    workflow: str = ""

    @classmethod
    def named(cls, **parts: str) -> _Level:
        """Return a level with these parts; raises RpcError if one is empty."""
        for part, text in parts.items():
            if not text:
                raise invalid(f"Expected a {part}, but it is empty")
        return cls(**parts)

    def key(self, resource: str) -> AttributesKey:
        """Return the key of a resource's attributes at this level."""
        return AttributesKey(
            resource=resource,
            project=self.project,
            domain=self.domain,
            workflow=self.workflow,
        )


class AttributeRpcs:
    """RPCs on matching attributes."""

    services: Services

    async def UpdateProjectDomainAttributes(
        self,
        request: project_domain_attributes_pb2.ProjectDomainAttributesUpdateRequest,
        _context: CallContext,
    ) -> project_domain_attributes_pb2.ProjectDomainAttributesUpdateResponse:
        """Set a project and domain's attributes."""
        at = request.attributes
        level = _Level.named(project=at.project, domain=at.domain)
        await self._set(level, at.matching_attributes)
        return project_domain_attributes_pb2.ProjectDomainAttributesUpdateResponse()

    async def GetProjectDomainAttributes(
        self,
        request: project_domain_attributes_pb2.ProjectDomainAttributesGetRequest,
        _context: CallContext,
    ) -> project_domain_attributes_pb2.ProjectDomainAttributesGetResponse:
        """Return a project and domain's attributes."""
        level = _Level.named(project=request.project, domain=request.domain)
        reply = project_domain_attributes_pb2.ProjectDomainAttributesGetResponse()
        at = reply.attributes
        at.project, at.domain = level.project, level.domain
        at.matching_attributes.CopyFrom(await self._get(level, request.resource_type))
        return reply

    async def DeleteProjectDomainAttributes(
        self,
        request: project_domain_attributes_pb2.ProjectDomainAttributesDeleteRequest,
        _context: CallContext,
    ) -> project_domain_attributes_pb2.ProjectDomainAttributesDeleteResponse:
        """Delete a project and domain's attributes."""
        level = _Level.named(project=request.project, domain=request.domain)
        await self._delete(level, request.resource_type)
        return project_domain_attributes_pb2.ProjectDomainAttributesDeleteResponse()

    async def UpdateProjectAttributes(
        self,
        request: project_attributes_pb2.ProjectAttributesUpdateRequest,
        _context: CallContext,
    ) -> project_attributes_pb2.ProjectAttributesUpdateResponse:
        """Set a project's attributes."""
        at = request.attributes
        await self._set(_Level.named(project=at.project), at.matching_attributes)
        return project_attributes_pb2.ProjectAttributesUpdateResponse()

    async def GetProjectAttributes(
        self,
        request: project_attributes_pb2.ProjectAttributesGetRequest,
        _context: CallContext,
    ) -> project_attributes_pb2.ProjectAttributesGetResponse:
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

    async def DeleteProjectAttributes(
        self,
        request: project_attributes_pb2.ProjectAttributesDeleteRequest,
        _context: CallContext,
    ) -> project_attributes_pb2.ProjectAttributesDeleteResponse:
        """Delete a project's attributes."""
        await self._delete(_Level.named(project=request.project), request.resource_type)
        return project_attributes_pb2.ProjectAttributesDeleteResponse()

    async def UpdateWorkflowAttributes(
        self,
        request: workflow_attributes_pb2.WorkflowAttributesUpdateRequest,
        _context: CallContext,
    ) -> workflow_attributes_pb2.WorkflowAttributesUpdateResponse:
        """Set a workflow's attributes."""
        at = request.attributes
        level = _Level.named(project=at.project, domain=at.domain, workflow=at.workflow)
        await self._set(level, at.matching_attributes)
        return workflow_attributes_pb2.WorkflowAttributesUpdateResponse()

    async def GetWorkflowAttributes(
        self,
        request: workflow_attributes_pb2.WorkflowAttributesGetRequest,
        _context: CallContext,
    ) -> workflow_attributes_pb2.WorkflowAttributesGetResponse:
        """Return a workflow's attributes."""
        level = _Level.named(
            project=request.project, domain=request.domain, workflow=request.workflow
        )
        reply = workflow_attributes_pb2.WorkflowAttributesGetResponse()
        at = reply.attributes
        at.project, at.domain, at.workflow = level.project, level.domain, level.workflow
        at.matching_attributes.CopyFrom(await self._get(level, request.resource_type))
        return reply

    async def DeleteWorkflowAttributes(
        self,
        request: workflow_attributes_pb2.WorkflowAttributesDeleteRequest,
        _context: CallContext,
    ) -> workflow_attributes_pb2.WorkflowAttributesDeleteResponse:
        """Delete a workflow's attributes."""
        level = _Level.named(
            project=request.project, domain=request.domain, workflow=request.workflow
        )
        await self._delete(level, request.resource_type)
        return workflow_attributes_pb2.WorkflowAttributesDeleteResponse()

    async def ListMatchableAttributes(
        self,
        request: matchable_resource_pb2.ListMatchableAttributesRequest,
        _context: CallContext,
    ) -> matchable_resource_pb2.ListMatchableAttributesResponse:
        """Return every level's attributes of a resource."""
        name = resource_name(request.resource_type)
        reply = matchable_resource_pb2.ListMatchableAttributesResponse()
        for row in await registry.list_attributes(self.services.pool, name):
            configuration = reply.configurations.add(
                project=row.project,
                domain=row.domain,
                workflow=row.workflow,
                launch_plan=row.launch_plan,
            )
            configuration.attributes.ParseFromString(row.attributes)
        return reply

    async def _set(
        self, level: _Level, given: matchable_resource_pb2.MatchingAttributes
    ) -> None:
        await check_place(self.services, level.project, level.domain)
        resource = accepted(attributes.resource_of(given))
        key = level.key(resource)
        now = self.services.clock.now_us()
        await decide(
            self.services.store,
            _stream(level, resource),
            lambda known: attributes.replace(known, key, given, now_us=now),
        )

    async def _find(
        self, level: _Level, resource: matchable_resource_pb2.MatchableResource
    ) -> matchable_resource_pb2.MatchingAttributes | None:
        key = level.key(resource_name(resource))
        data = await registry.get_attributes(self.services.pool, key)
        if data is None:
            return None
        return matchable_resource_pb2.MatchingAttributes.FromString(data)

    async def _get(
        self, level: _Level, resource: matchable_resource_pb2.MatchableResource
    ) -> matchable_resource_pb2.MatchingAttributes:
        found = await self._find(level, resource)
        if found is None:
            where = "/".join(
                p for p in (level.project, level.domain, level.workflow) if p
            )
            raise missing(resource_name(resource), where)
        return found

    async def _delete(
        self, level: _Level, resource: matchable_resource_pb2.MatchableResource
    ) -> None:
        name = resource_name(resource)
        key = level.key(name)
        now = self.services.clock.now_us()
        await decide(
            self.services.store,
            _stream(level, name),
            lambda known: attributes.delete(known, key, now_us=now),
        )


def resource_name(resource: matchable_resource_pb2.MatchableResource) -> str:
    """Return the name of a resource; raises RpcError for an unknown one."""
    known = matchable_resource_pb2.MatchableResource
    if resource not in known.values():
        raise invalid(f"Expected a matchable resource, but got {resource}")
    return known.Name(resource)


def _stream(level: _Level, resource: str) -> str:
    parts = (level.project, level.domain or "-", level.workflow or "-", resource)
    return stream_of("attributes", *parts)
