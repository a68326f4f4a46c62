"""Tables: statements and values by the description of their rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import psycopg
import pytest
from msgspec.structs import replace
from psycopg.rows import dict_row

from infra.postgres.pool import Pool
from projections import rows
from projections.columns import Merge, Parts, Stored, decode
from projections.registry_rows import PROJECTS, ProjectRow
from projections.table import Table
from projections.views.changes import Changes
from schemas.ids import EntityRef
from schemas.phases import NodePhase
from schemas.sites import NodeKind
from schemas.values import Failure, TaskLog, Values

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TASK = EntityRef(kind="TASK", project="p", domain="d", name="t", version="v")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row with a column of each kind of storage."""

    id: str
    phase: NodePhase
    number: int = 0
    index: Annotated[int | None, Stored.NONE_AS_NEGATIVE] = None
    task: Annotated[EntityRef | None, Parts("task_", ("name", "version"))] = None
    logs: tuple[TaskLog, ...] = ()
    reasons: Annotated[
        tuple[rows.Reason, ...], Stored.AS_JSON_LINES, Merge.APPENDED
    ] = ()
    seconds: Annotated[float | None, Stored.GENERATED] = None
    at: Annotated[datetime | None, Merge.FIRST] = None


ROWS = Table("rows", Row, ("id",), keeps_repeated_phase=True)
REASONS = tuple(rows.Reason(reason=f"é{n}", occurred_at_us=n) for n in range(2))
LOGS = (TaskLog(name="l", uri="u"),)


def a_node(number: int, **fields: object) -> rows.NodeRow:
    """Return a node of one execution that is queued."""
    row = rows.NodeRow(
        stream="s",
        node_id=f"n{number}",
        number=number,
        phase=NodePhase.QUEUED,
        spec_node_id="n",
        kind=NodeKind.TASK,
        node_name="a\0b",
        parent_id="",
        retry_group="0",
        created_at=NOON,
        updated_at=NOON,
    )
    return replace(row, **fields)


NODES = [
    a_node(0),
    a_node(1, element=3, target=TASK, inputs=Values(inline=b"\0")),
    a_node(2, error=Failure(code="C", message="m"), started_at=NOON, ended_at=NOON),
]


def test_types_say_how_values_are_stored() -> None:
    """A part has a column of its own; None may be -1, a tuple lines of JSON."""
    row = Row(id="a\0", phase=NodePhase.QUEUED, task=TASK, logs=LOGS, reasons=REASONS)
    values = dict(
        zip(
            [c.name for c in ROWS.columns.values() if not c.is_generated],
            ROWS.insertion.values(row),
            strict=True,
        )
    )

    assert (values["id"], values["phase"]) == ("a\N{REPLACEMENT CHARACTER}", "QUEUED")
    assert (values["task_name"], values["task_version"]) == ("t", "v")
    assert (values["index"], values["at"]) == (-1, None)
    assert str(values["reasons"]).count("\n") == 2
    assert "seconds" not in values


@pytest.mark.parametrize(
    "row",
    [
        Row(id="a", phase=NodePhase.QUEUED),
        Row(id="a", phase=NodePhase.FAILED, index=0, task=TASK, logs=LOGS, at=NOON),
        Row(id="a", phase=NodePhase.QUEUED, number=7, reasons=REASONS),
    ],
)
def test_stored_values_are_read_again(row: Row) -> None:
    """Decoding gives the row that the values came from; other columns don't matter."""
    names = [c.name for c in ROWS.columns.values() if not c.is_generated]
    stored = dict(zip(names, ROWS.insertion.values(row), strict=True))

    assert decode(Row, {**stored, "seconds": None, "other": 1}) == row


def test_unknown_fields_are_errors() -> None:
    """A change of what is no column is found when the event is folded."""
    with pytest.raises(KeyError):
        Changes().nodes.set("s", "n", colour="red")
    with pytest.raises(KeyError):
        ROWS.update(("colour",))


def test_a_terminal_phase_stays() -> None:
    """So does one that is entered again, in tables that keep it."""
    tasks = rows.TASKS

    assert ROWS.is_stale("FAILED", "RUNNING")
    assert ROWS.is_stale("RUNNING", "RUNNING")
    assert ROWS.is_stale("DYNAMIC_RUNNING", "RUNNING")
    assert not ROWS.is_stale("RUNNING", "DYNAMIC_RUNNING")
    assert not tasks.is_stale("RUNNING", "RUNNING")
    assert tasks.is_stale("ABORTED", "FAILED")


@pytest.mark.integration
def test_arrays_add_the_same_rows(pool: Pool) -> None:
    """One statement with arrays adds what one for each row adds; known ones stay."""
    insertion = rows.NODES.insertion
    values = [insertion.values(node) for node in NODES]
    found = []
    with psycopg.connect(pool.conninfo, row_factory=dict_row) as conn:
        for add in ("one", "many"):
            if add == "one":
                conn.cursor().executemany(insertion.one, [*values, values[0]])
            else:
                conn.execute(insertion.many, insertion.arrays([*values, values[0]]))
            query = "SELECT * FROM node_executions ORDER BY number"
            found.append(conn.execute(query).fetchall())
            conn.rollback()

    assert found[0] == found[1]
    assert [decode(rows.NodeRow, row) for row in found[1]] == [
        replace(node, node_name="a\N{REPLACEMENT CHARACTER}b", duration=duration)
        for node, duration in zip(NODES, (None, None, 0.0), strict=True)
    ]
    assert insertion.prefers_arrays(len(insertion.arrays(values)))
    assert not insertion.prefers_arrays(1)


@pytest.mark.integration
def test_the_registry_refuses_nul(pool: Pool) -> None:
    """What a client sent is stored as it is, or not at all."""
    row = ProjectRow(
        identifier="p",
        name="a\0b",
        description="",
        state=0,
        project=b"",
        created_at=NOON,
        updated_at=NOON,
    )
    with psycopg.connect(pool.conninfo) as conn, pytest.raises(psycopg.DataError):
        conn.execute(PROJECTS.insertion.one, PROJECTS.insertion.values(row))


@pytest.mark.integration
def test_a_replaced_row_keeps_its_first_values(pool: Pool) -> None:
    """A project that is replaced was created when it was created first."""
    later = NOON.replace(hour=13)
    with psycopg.connect(pool.conninfo, row_factory=dict_row) as conn:
        for name, at in (("One", NOON), ("Uno", later)):
            row = ProjectRow(
                identifier="p",
                name=name,
                description="",
                state=0,
                project=b"",
                created_at=at,
                updated_at=at,
            )
            conn.execute(PROJECTS.insertion.one, PROJECTS.insertion.values(row))
        (found,) = conn.execute("SELECT * FROM projects").fetchall()

    project = decode(ProjectRow, found)
    assert (project.name, project.created_at, project.updated_at) == (
        "Uno",
        NOON,
        later,
    )
