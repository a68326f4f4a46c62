"""AdminService: names of tasks, workflows and launch plans, with their metadata."""

from __future__ import annotations

from flyteidl.admin import common_pb2

from gateway.registry import named_entities
from gateway.rpc.admin.versions import check_place, kind_of
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import accepted, invalid, missing
from gateway.services.handlers import CallContext
from gateway.translate.registry import to_named_entity
from projections.queries import registry
from projections.queries.registry import AnyKind
from projections.registry_rows import NameRow


class NamedEntityRpcs:
    """RPCs on named entities."""

    services: Services

    async def ListNamedEntities(
        self, request: common_pb2.NamedEntityListRequest, _context: CallContext
    ) -> common_pb2.NamedEntityList:
        """Return the names of a kind with their descriptions and states."""
        kind, page = kind_of(request.resource_type), page_of(request)
        check_place(request.project, request.domain)
        rows = accepted(
            await registry.list_names(
                self.services.pool, kind, request.project, request.domain, page
            )
        )
        return common_pb2.NamedEntityList(
            entities=[to_named_entity(row, kind.name) for row in rows],
            token=next_token(page, rows),
        )

    async def GetNamedEntity(
        self, request: common_pb2.NamedEntityGetRequest, _context: CallContext
    ) -> common_pb2.NamedEntity:
        """Return a name with its description and state."""
        kind = kind_of(request.resource_type)
        return to_named_entity(await self._name(kind, request.id), kind.name)

    async def UpdateNamedEntity(
        self, request: common_pb2.NamedEntityUpdateRequest, _context: CallContext
    ) -> common_pb2.NamedEntityUpdateResponse:
        """Set the description and state of a name that is in use."""
        kind, name = kind_of(request.resource_type), request.id
        await self._name(kind, name)
        await named_entities.describe(
            self.services,
            kind.name,
            (name.project, name.domain, name.name),
            description=request.metadata.description,
            state=request.metadata.state,
        )
        return common_pb2.NamedEntityUpdateResponse()

    async def _name(
        self, kind: AnyKind, at: common_pb2.NamedEntityIdentifier
    ) -> NameRow:
        if not (at.project and at.domain and at.name):
            raise invalid("Expected project, domain and name, but one is empty")
        row = await registry.get_name(
            self.services.pool, kind, at.project, at.domain, at.name
        )
        if row is None:
            raise missing(kind.name, f"{at.project}/{at.domain}/{at.name}")
        return row
