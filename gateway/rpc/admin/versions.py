"""Versions and names of tasks, workflows and launch plans: looked up and listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flyteidl.admin import common_pb2
from flyteidl.core import identifier_pb2

from domain.registry.identity import checked_ref
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import accepted, invalid, missing
from gateway.translate.registry import to_entity_id
from projections.columns import SqlValue
from projections.queries import registry
from projections.queries.page import Page
from projections.queries.registry import AnyKind, Kind, V_co

KINDS: Mapping[int, AnyKind] = {
    kind.number: kind
    for kind in (registry.TASKS, registry.WORKFLOWS, registry.LAUNCH_PLANS)
}


def kind_of(resource_type: identifier_pb2.ResourceType) -> AnyKind:
    """Return the kind of an entity; raises RpcError for any other resource type."""
    if resource_type not in KINDS:
        raise invalid("Expected a task, workflow or launch plan, but another type")
    return KINDS[resource_type]


def check_place(project: str, domain: str) -> None:
    """Refuse to list every project and domain."""
    if not project or not domain:
        raise invalid("Expected a project and a domain, but one is empty")


async def find(
    services: Services, identifier: identifier_pb2.Identifier, kind: Kind[V_co]
) -> V_co:
    """Return the row of a version; raises RpcError with NOT_FOUND."""
    ref = accepted(checked_ref(identifier, kind.name))
    row = await registry.get_version(services.pool, kind, ref)
    if row is None:
        raise missing(kind.name, ref.text())
    return row


async def listed(
    services: Services, kind: Kind[V_co], request: common_pb2.ResourceListRequest
) -> tuple[Page, Sequence[V_co]]:
    """Return the requested page, and its rows."""
    page, at = page_of(request), request.id
    check_place(at.project, at.domain)
    where = {"project": at.project, "domain": at.domain}
    if at.name:
        where["name"] = at.name
    return page, await rows(services, kind, where, page)


async def rows(
    services: Services, kind: Kind[V_co], where: Mapping[str, SqlValue], page: Page
) -> Sequence[V_co]:
    """Return rows of versions; raises RpcError for invalid filters and sort keys."""
    found = await registry.list_versions(services.pool, kind.versions, where, page)
    return accepted(found)


async def names(
    services: Services,
    kind: AnyKind,
    request: common_pb2.NamedEntityIdentifierListRequest,
) -> common_pb2.NamedEntityIdentifierList:
    """Return the requested page of names."""
    page = page_of(request)
    check_place(request.project, request.domain)
    found = accepted(
        await registry.list_ids(
            services.pool, kind, request.project, request.domain, page
        )
    )
    return common_pb2.NamedEntityIdentifierList(
        entities=[to_entity_id(row) for row in found], token=next_token(page, found)
    )
