"""AdminService: descriptions of tasks and workflows."""

from __future__ import annotations

from flyteidl.admin import common_pb2, description_entity_pb2
from flyteidl.core import identifier_pb2

from gateway.rpc.admin import versions
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import accepted, invalid, missing
from gateway.services.handlers import CallContext
from gateway.translate.registry import to_description
from projections.queries import registry
from projections.queries.registry import DescribedKind
from projections.registry_rows import DescribedVersionRow


class DescriptionRpcs:
    """RPCs on descriptions of versions."""

    services: Services

    async def GetDescriptionEntity(
        self, request: common_pb2.ObjectGetRequest, _context: CallContext
    ) -> description_entity_pb2.DescriptionEntity:
        """Return the description of a task or workflow version."""
        kind = _kind(request.id.resource_type)
        row = await versions.find(self.services, request.id, kind)
        if not row.description:
            at = request.id
            text = f"{at.project}/{at.domain}/{at.name}/{at.version}"
            raise missing("DESCRIPTION_ENTITY", text)
        return to_description(row, kind.name)

    async def ListDescriptionEntities(
        self,
        request: description_entity_pb2.DescriptionEntityListRequest,
        _context: CallContext,
    ) -> description_entity_pb2.DescriptionEntityList:
        """Return descriptions of the versions of one name, or of all names."""
        kind, page, at = _kind(request.resource_type), page_of(request), request.id
        versions.check_place(at.project, at.domain)
        where = {"project": at.project, "domain": at.domain}
        if at.name:
            where["name"] = at.name
        rows = accepted(
            await registry.list_versions(
                self.services.pool, kind.described, where, page
            )
        )
        return description_entity_pb2.DescriptionEntityList(
            descriptionEntities=[to_description(row, kind.name) for row in rows],
            token=next_token(page, rows),
        )


def _kind(
    resource_type: identifier_pb2.ResourceType,
) -> DescribedKind[DescribedVersionRow]:
    for kind in registry.DESCRIBED:
        if kind.number == resource_type:
            return kind
    raise invalid("Expected a task or a workflow, but another type")
