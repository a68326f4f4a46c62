"""AdminService: what tasks and workflows say of themselves."""

from __future__ import annotations

from typing import Any

from flyteidl.admin import description_entity_pb2

from gateway.rpc.admin import versions
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import accepted, invalid, missing
from gateway.translate import registry as to_flyte
from projections.queries import registry


class DescriptionRpcs:
    """RPCs on descriptions of versions."""

    services: Services

    async def GetDescriptionEntity(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the description of a task or workflow version."""
        kind = _kind(request.id.resource_type)
        row = await versions.find(self.services, request.id, kind)
        if not row["description"]:
            at = request.id
            text = f"{at.project}/{at.domain}/{at.name}/{at.version}"
            raise missing("DESCRIPTION_ENTITY", text)
        return to_flyte.description(row, request.id.resource_type)

    async def ListDescriptionEntities(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return descriptions of versions, of one name or of all there."""
        kind, page, at = _kind(request.resource_type), page_of(request), request.id
        versions.check_place(at.project, at.domain)
        where = {"project": at.project, "domain": at.domain}
        if at.name:
            where["name"] = at.name
        rows = accepted(
            await registry.list_described(self.services.pool, kind, where, page)
        )
        return description_entity_pb2.DescriptionEntityList(
            descriptionEntities=[
                to_flyte.description(row, request.resource_type) for row in rows
            ],
            token=next_token(page, rows),
        )


def _kind(resource_type: int) -> str:
    kind = versions.KINDS.get(resource_type, "")
    if kind not in registry.DESCRIBED:
        raise invalid("Expected a task or a workflow, but another type")
    return kind
