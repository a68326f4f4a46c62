"""The registry's read models: events in, entities out."""

from __future__ import annotations

from typing import get_args

import psycopg
import pytest
from flyteidl.admin import project_pb2

from domain.registry.attributes import AttributesKey
from infra.postgres.pool import Pool
from projections.queries import registry
from projections.queries.page import Page
from projections.queries.registry import AnyKind
from projections.views.registry import STEPS
from schemas.ids import EntityRef
from schemas.messages import registry_events as r
from schemas.messages.rejections import Rejected
from schemas.values import Blob
from tests.support.harness.read_models import accepted

TEN = Page(limit=10)


def ref(kind: str, name: str, version: str = "v1") -> EntityRef:
    """Return an entity's id in project p, domain d."""
    return EntityRef(kind=kind, project="p", domain="d", name=name, version=version)


def a_task(name: str = "t", version: str = "v1", at_us: int = 1) -> r.TaskRegistered:
    """Return the event that a task version exists."""
    return r.TaskRegistered(
        occurred_at_us=at_us,
        entity=ref("TASK", name, version),
        digest="0",
        task_type="python-task",
        short_description="",
        closure=b"closure",
    )


def a_plan(version: str, at_us: int = 1) -> r.LaunchPlanRegistered:
    """Return the event that a version of launch plan lp exists."""
    return r.LaunchPlanRegistered(
        occurred_at_us=at_us,
        entity=ref("LAUNCH_PLAN", "lp", version),
        digest="0",
        workflow=ref("WORKFLOW", "w"),
        spec=b"spec",
        closure=b"closure",
    )


def write(pool: Pool, *events: r.RegistryEvent) -> None:
    """Let events change the read models, as the event store does."""
    with psycopg.connect(str(pool.conninfo)) as conn:
        registry.writer(events)(conn.cursor())


WORKFLOW = AttributesKey(resource="X", project="p", domain="d", workflow="w")


async def versions(
    pool: Pool, kind: AnyKind, page: Page, **where: str | int
) -> list[str]:
    """Return the versions on a page of entities."""
    rows = await registry.list_versions(pool, kind.versions, where, page)
    return [row.version for row in accepted(rows)]


def test_every_event_has_its_steps() -> None:
    """No event of the registry is unknown to the read models."""
    assert set(get_args(r.RegistryEvent)) == set(STEPS)


async def test_tasks(pool: Pool) -> None:
    """A registered task is found whole; another version isn't."""
    write(pool, a_task())

    row = await registry.get_version(pool, registry.TASKS, ref("TASK", "t"))

    assert row is not None
    assert (row.closure, row.type) == (b"closure", "python-task")
    assert (
        await registry.get_version(pool, registry.TASKS, ref("TASK", "t", "v2")) is None
    )


async def test_events_may_come_again(pool: Pool) -> None:
    """Relaying the same events twice changes nothing."""
    write(pool, a_task(), a_task(), a_plan("v1"), a_plan("v1"))

    assert ["v1"] == await versions(pool, registry.TASKS, TEN, project="p")


async def test_workflows(pool: Pool) -> None:
    """A registered workflow says where its closure is."""
    closure = Blob(uri="b", digest="0", size=1)
    write(
        pool,
        r.WorkflowRegistered(
            occurred_at_us=1,
            entity=ref("WORKFLOW", "w"),
            digest="0",
            short_description="",
            interface=b"",
            closure=closure,
            node_count=3,
        ),
    )

    row = await registry.get_version(pool, registry.WORKFLOWS, ref("WORKFLOW", "w"))

    assert row is not None
    assert closure == row.closure


async def test_the_latest_version_comes_first(pool: Pool) -> None:
    """Versions are listed from the newest; `sort created_at, limit 1` is the latest."""
    write(pool, a_task(version="v1", at_us=1), a_task(version="v2", at_us=2))
    latest = Page(limit=1, sort_key="created_at")

    assert ["v2", "v1"] == await versions(
        pool, registry.TASKS, TEN, project="p", name="t"
    )
    assert ["v2"] == await versions(
        pool, registry.TASKS, latest, project="p", domain="d"
    )
    by_version = Page(limit=5, filters="eq(version,v1)")
    assert ["v1"] == await versions(pool, registry.TASKS, by_version, project="p")


async def test_one_launch_plan_is_active(pool: Pool) -> None:
    """Activating a version deactivates the one before."""
    write(pool, a_plan("v1"), a_plan("v2"))
    for version in ("v1", "v2"):
        entity = ref("LAUNCH_PLAN", "lp", version)
        write(pool, r.LaunchPlanActivated(occurred_at_us=2, entity=entity))

    active = await registry.get_active_launch_plan(pool, "p", "d", "lp")

    assert active is not None
    assert active.version == "v2"
    assert ["v2"] == await versions(pool, registry.LAUNCH_PLANS, TEN, state=1)
    by_workflow = Page(limit=5, filters="eq(workflow.name,w)")
    assert [] == await versions(pool, registry.LAUNCH_PLANS, by_workflow)


async def test_no_launch_plan_is_active(pool: Pool) -> None:
    """A deactivated launch plan is no longer found as active."""
    entity = ref("LAUNCH_PLAN", "lp", "v1")
    write(
        pool,
        a_plan("v1"),
        r.LaunchPlanActivated(occurred_at_us=2, entity=entity),
        r.LaunchPlanDeactivated(occurred_at_us=3, entity=entity),
    )

    assert await registry.get_active_launch_plan(pool, "p", "d", "lp") is None


async def test_names(pool: Pool) -> None:
    """Names are distinct, carry what people say, and hide what the server made."""
    write(
        pool,
        a_task("a", "v1"),
        a_task("a", "v2"),
        a_task("b"),
        a_task(".flytegen.x"),
        r.NamedEntityDescribed(
            occurred_at_us=1,
            kind="TASK",
            project="p",
            domain="d",
            name="b",
            description="about b",
            state=1,
        ),
    )
    archived = Page(limit=5, filters="eq(state,1)")
    listed = await registry.list_names(pool, registry.TASKS, "p", "d", TEN)
    ids = await registry.list_ids(pool, registry.TASKS, "p", "d", TEN)
    hidden = await registry.list_names(pool, registry.TASKS, "p", "d", archived)
    described = await registry.get_name(pool, registry.TASKS, "p", "d", "b")

    assert [("a", ""), ("b", "about b")] == [
        (row.name, row.description) for row in accepted(listed)
    ]
    assert len(accepted(ids)) == 3
    of_kind = Page(limit=5, filters="eq(resource_type,1)")
    assert await registry.list_ids(pool, registry.TASKS, "p", "d", of_kind) == ids
    for key in ("id", "created_at", "updated_at", "state", "resource_type"):
        newest = Page(limit=5, sort_key=key)
        found = await registry.list_ids(pool, registry.TASKS, "p", "d", newest)
        assert len(accepted(found)) == 3
    assert ["b"] == [row.name for row in accepted(hidden)]
    assert described is not None
    assert described.state == 1
    assert await registry.get_name(pool, registry.TASKS, "p", "d", "c") is None


async def test_bad_filters_of_names(pool: Pool) -> None:
    """A bad filter of names is refused."""
    page = Page(limit=5, filters="eq(version,1)")

    assert isinstance(
        await registry.list_names(pool, registry.TASKS, "p", "d", page), Rejected
    )


async def test_projects(pool: Pool) -> None:
    """A project is replaced whole, and listed by identifier."""
    for name in ("One", "Uno"):
        project = project_pb2.Project(id="one", name=name)
        event = r.ProjectReplaced(
            occurred_at_us=1, project_id="one", project=project.SerializeToString()
        )
        write(pool, event)

    found = await registry.get_project(pool, "one")
    listed = await registry.list_projects(pool, TEN)

    assert found is not None
    assert found.name == "Uno"
    assert [found] == listed
    assert await registry.get_project(pool, "two") is None


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (("d", "w", "lp"), b"4"),
        (("d", "w", "other"), b"3"),
        (("d", "other"), b"2"),
        (("other",), b"1"),
    ],
)
async def test_attributes_match(
    pool: Pool, place: tuple[str, ...], expected: bytes
) -> None:
    """The attributes of the most specific level come first (ref §14)."""
    places = [("", "", ""), ("d", "", ""), ("d", "w", ""), ("d", "w", "lp")]
    for number, (domain, workflow, launch_plan) in enumerate(places, 1):
        event = r.AttributesSet(
            occurred_at_us=1,
            resource="TASK_RESOURCE",
            project="p",
            domain=domain,
            workflow=workflow,
            launch_plan=launch_plan,
            attributes=str(number).encode(),
        )
        write(pool, event)
    project = project_pb2.Project(id="p").SerializeToString()
    write(pool, r.ProjectReplaced(occurred_at_us=1, project_id="p", project=project))

    level = dict(zip(("domain", "workflow", "launch_plan"), place, strict=False))
    key = AttributesKey(resource="TASK_RESOURCE", project="p", **level)
    found_project, found = await registry.project_and_attributes(pool, key)

    assert found_project == project_pb2.Project(id="p")
    assert expected == found[0]
    assert len(await registry.list_attributes(pool, "TASK_RESOURCE")) == 4


@pytest.mark.parametrize("name", ["with", "without", "none"])
async def test_projects_of_creations(pool: Pool, name: str) -> None:
    """A project is found with attributes and without; one that isn't has neither."""
    for known in ("with", "without"):
        project = project_pb2.Project(id=known).SerializeToString()
        write(
            pool,
            r.ProjectReplaced(occurred_at_us=1, project_id=known, project=project),
        )
    place = {"domain": "", "workflow": "", "launch_plan": ""}
    write(
        pool,
        r.AttributesSet(
            occurred_at_us=1, resource="X", project="with", attributes=b"x", **place
        ),
    )

    key = AttributesKey(resource="X", project=name, domain="d", workflow="w")
    found, attributes = await registry.project_and_attributes(pool, key)

    assert found == (None if name == "none" else project_pb2.Project(id=name))
    assert attributes == ([b"x"] if name == "with" else [])


async def test_attributes_are_deleted(pool: Pool) -> None:
    """Deleted attributes are gone from exactly their place."""
    place = {"resource": "X", "project": "p", "domain": "d", "workflow": "w"}
    put = r.AttributesSet(occurred_at_us=1, launch_plan="", attributes=b"x", **place)
    write(pool, put)
    assert await registry.get_attributes(pool, WORKFLOW) == b"x"

    write(pool, r.AttributesDeleted(occurred_at_us=2, launch_plan="", **place))

    assert await registry.get_attributes(pool, WORKFLOW) is None
