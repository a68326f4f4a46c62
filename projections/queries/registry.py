"""The registry's read models: written with its events, read by gateway and workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flyteidl.admin import project_pb2
from msgspec.structs import asdict, astuple
from psycopg import Cursor
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from domain.registry.attributes import AttributesKey
from infra.postgres.pool import Pool, queries
from projections.columns import R, SqlValue
from projections.queries import filter_columns
from projections.queries.fetch import fetch, fetch_one
from projections.queries.filters import Entity
from projections.queries.page import Page, narrow, select
from projections.registry_rows import (
    AttributesRow,
    DescribedVersionRow,
    ExecutionStateRow,
    LaunchPlanVersionRow,
    NameRow,
    ProjectAttributesRow,
    ProjectRow,
    VersionRow,
)
from projections.sql_files import SQL_FILES
from projections.views.registry import Put, steps_of
from schemas.ids import EntityRef
from schemas.messages import registry_events as r
from schemas.messages.rejections import Rejected

GENERATED = ".flytegen%"
"""Names that the server generates: listings of names omit them (ref §1.3)."""
_SQL = queries(SQL_FILES / "registry.sql")
V_co = TypeVar("V_co", bound=VersionRow, covariant=True)


@dataclass(frozen=True, slots=True)
class Kind(Generic[V_co]):
    """A kind of registered entity, and where its versions are.

    `name` and `number` are those of its core.ResourceType.
    """

    name: str
    number: int
    versions: Entity[V_co]


@dataclass(frozen=True, slots=True)
class DescribedKind(Kind[V_co]):
    """A kind whose versions may have a description; `described` are those that do."""

    described: Entity[V_co]


AnyKind = Kind[VersionRow]
TASKS = DescribedKind("TASK", 1, filter_columns.TASKS, filter_columns.DESCRIBED_TASKS)
WORKFLOWS = DescribedKind(
    "WORKFLOW", 2, filter_columns.WORKFLOWS, filter_columns.DESCRIBED_WORKFLOWS
)
LAUNCH_PLANS = Kind("LAUNCH_PLAN", 3, filter_columns.LAUNCH_PLANS)
DESCRIBED: tuple[DescribedKind[DescribedVersionRow], ...] = (TASKS, WORKFLOWS)


def apply_registry(cursor: Cursor[Any], event: r.RegistryMessage) -> None:
    """Apply an event to the read models, in the transaction that appends it."""
    for step in steps_of(event):
        if isinstance(step, Put):
            cursor.execute(step.statement, step.values)
        else:
            cursor.execute(_SQL[step.name], step.values)


def writer(events: Sequence[r.RegistryMessage]) -> Callable[[Cursor[Any]], None]:
    """Return what applies events, for the transaction that appends them."""

    def write(cursor: Cursor[Any]) -> None:
        for event in events:
            apply_registry(cursor, event)

    return write


async def get_version(pool: Pool, kind: Kind[V_co], ref: EntityRef) -> V_co | None:
    """Return a version of a task, workflow or launch plan."""
    table = Identifier(kind.versions.table)
    statement = SQL(_SQL["get_version"]).format(table=table)
    key = (ref.project, ref.domain, ref.name, ref.version)
    return await fetch_one(pool, kind.versions.row, statement, key)


async def execution_states(
    pool: Pool, streams: Sequence[str]
) -> dict[str, ExecutionStateRow]:
    """Return the states that clients have set, by the executions' streams."""
    statement = _SQL["execution_states"]
    rows = await fetch(pool, ExecutionStateRow, statement, (list(streams),))
    return {row.stream: row for row in rows}


async def get_active_launch_plan(
    pool: Pool, project: str, domain: str, name: str
) -> LaunchPlanVersionRow | None:
    """Return a name's active launch plan."""
    statement, key = _SQL["get_active_launch_plan"], (project, domain, name)
    return await fetch_one(pool, LaunchPlanVersionRow, statement, key)


async def list_versions(
    pool: Pool, versions: Entity[R], where: Mapping[str, SqlValue], page: Page
) -> list[R] | Rejected:
    """Return versions of entities, the newest first unless sorted otherwise.

    `where` gives columns their values: project and domain, name, state=1 for active
    launch plans.
    """
    order = SQL("{0}.created_at DESC, {0}.name, {0}.version DESC").format(
        Identifier(versions.table)
    )
    return await select(pool, versions, where, page, order)


async def list_names(
    pool: Pool, kind: AnyKind, project: str, domain: str, page: Page
) -> list[NameRow] | Rejected:
    """Return the distinct names of a kind, with description and state.

    Names that the server generated are omitted unless a filter is given.
    """
    hidden = "" if page.filters else GENERATED
    return await _names(pool, kind, (project, domain), page, hidden)


async def list_ids(
    pool: Pool, kind: AnyKind, project: str, domain: str, page: Page
) -> list[NameRow] | Rejected:
    """Return the distinct names of a kind, all of them."""
    return await _names(pool, kind, (project, domain), page, "")


async def _names(
    pool: Pool, kind: AnyKind, place: tuple[str, str], page: Page, hidden: str
) -> list[NameRow] | Rejected:
    found = narrow(filter_columns.NAMES, page, SQL("names.name"))
    if isinstance(found, Rejected):
        return found
    condition, values, order = found
    where = SQL(" AND ").join([SQL("names.name NOT LIKE %s"), condition])
    params = (kind.name, *place, hidden, *values, page.limit, page.offset)
    return await fetch(pool, NameRow, _name_query(kind, where, order), params)


async def get_name(
    pool: Pool, kind: AnyKind, project: str, domain: str, name: str
) -> NameRow | None:
    """Return a name with description and state, or None if no version has it."""
    statement = _name_query(kind, SQL("names.name = %s"), SQL("names.name"))
    return await fetch_one(
        pool, NameRow, statement, (kind.name, project, domain, name, 1, 0)
    )


def _name_query(kind: AnyKind, where: Composable, order: Composable) -> Composed:
    return SQL(_SQL["list_names"]).format(
        versions=Identifier(kind.versions.table),
        resource=Literal(kind.number),
        where=where,
        order=order,
    )


async def get_project(pool: Pool, identifier: str) -> project_pb2.Project | None:
    """Return a project."""
    row = await fetch_one(pool, ProjectRow, _SQL["get_project"], (identifier,))
    return project_pb2.Project.FromString(row.project) if row else None


async def list_projects(pool: Pool, page: Page) -> list[project_pb2.Project] | Rejected:
    """Return projects, by identifier unless sorted otherwise."""
    order = SQL("projects.identifier")
    found = await select(pool, filter_columns.PROJECTS, {}, page, order)
    if isinstance(found, Rejected):
        return found
    return [project_pb2.Project.FromString(row.project) for row in found]


async def get_attributes(pool: Pool, key: AttributesKey) -> bytes | None:
    """Return the matching attributes of exactly this level."""
    row = await fetch_one(pool, AttributesRow, _SQL["get_attributes"], astuple(key))
    return row.attributes if row else None


async def project_and_attributes(
    pool: Pool, key: AttributesKey
) -> tuple[project_pb2.Project | None, list[bytes]]:
    """Return a level's project, and the attributes that apply, most specific first.

    Both by one query: every creation of an execution needs them.
    """
    rows = await fetch(
        pool, ProjectAttributesRow, _SQL["project_and_attributes"], asdict(key)
    )
    if not rows:
        return None, []
    found = [row.attributes for row in rows if row.attributes is not None]
    return project_pb2.Project.FromString(rows[0].project), found


async def list_attributes(pool: Pool, resource: str) -> list[AttributesRow]:
    """Return all attributes of a resource."""
    return await fetch(pool, AttributesRow, _SQL["list_attributes"], (resource,))
