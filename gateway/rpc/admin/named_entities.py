"""AdminService: names of tasks, workflows, launch plans, and what is said of them."""

from __future__ import annotations

from typing import Any

from flyteidl.admin import common_pb2

from gateway.registry import named_entities
from gateway.rpc.admin.versions import check_place, kind_of
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import accepted, invalid, missing
from gateway.translate import registry as to_flyte
from projections.queries import registry


class NamedEntityRpcs:
    """RPCs on named entities."""

    services: Services

    async def ListNamedEntities(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the names of a kind with their descriptions and states."""
        kind, page = kind_of(request.resource_type), page_of(request)
        check_place(request.project, request.domain)
        rows = accepted(
            await registry.list_names(
                self.services.pool, kind, request.project, request.domain, page
            )
        )
        return common_pb2.NamedEntityList(
            entities=[to_flyte.named_entity(r, request.resource_type) for r in rows],
            token=next_token(page, rows),
        )

    async def GetNamedEntity(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a name with its description and state."""
        row = await self._name(request)
        return to_flyte.named_entity(row, request.resource_type)

    async def UpdateNamedEntity(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Give a name that something bears its description and state."""
        await self._name(request)
        at, wanted = request.id, request.metadata
        await named_entities.describe(
            self.services,
            kind_of(request.resource_type),
            (at.project, at.domain, at.name),
            description=wanted.description,
            state=wanted.state,
        )
        return common_pb2.NamedEntityUpdateResponse()

    async def _name(self, request: Any) -> dict[str, Any]:
        kind, at = kind_of(request.resource_type), request.id
        if not (at.project and at.domain and at.name):
            raise invalid("Expected project, domain and name, but one is empty")
        row = await registry.get_name(
            self.services.pool, kind, at.project, at.domain, at.name
        )
        if row is None:
            raise missing(kind, f"{at.project}/{at.domain}/{at.name}")
        return row
