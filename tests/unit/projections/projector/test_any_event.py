"""Any event at all, on a real Postgres: none stops the projector, rows can be read."""

from __future__ import annotations

import secrets
from typing import Any, get_args

import pytest
from flyteidl.admin import execution_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from projections import rows
from projections.columns import decode, key_text
from projections.projector.projector import Projector
from projections.table import Table
from schemas.messages import execution_events as e
from schemas.messages import outcomes
from tests.support.engine import STREAM, created
from tests.support.harness.read_models import ReadModels
from tests.support.memory_log import MemoryLog
from tests.support.messages import example, messages_of

EVENTS: list[Any] = list(get_args(e.ExecutionEvent))
TABLES: list[Any] = [table for table in vars(rows).values() if isinstance(table, Table)]
LONG = secrets.token_hex(5_000)
"""No index of Postgres holds it, compressed or not."""
EXTREME = (
    st.sampled_from([LONG, "a\0b", "\U0010ffff" * 700, ""]),
    st.sampled_from([-(2**63), -(2**31) - 1, -1, 0, 2**31, 2**63 - 1]),
)


def extreme(event: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for an event with texts and numbers at the edges."""
    texts, numbers = EXTREME
    kinds = {str: texts, int: numbers}
    fields = event.__struct_fields__
    changes = {
        name: st.one_of(st.just(value), kinds[type(value)])
        for name in fields
        if type(value := getattr(event, name)) in kinds
    }
    return st.fixed_dictionaries(changes).map(lambda found: replace(event, **found))


def any_event() -> st.SearchStrategy[Any]:
    """Return a strategy for any event of any class."""
    return st.sampled_from(EVENTS).flatmap(
        lambda cls: st.one_of(extreme(example(cls)), messages_of(cls))
    )


async def follow(read_models: ReadModels) -> Projector:
    """Apply what is on the log; an outage is an error here."""
    projector = await read_models.follow()
    assert projector.positions == {0: len(read_models.log.records)}
    return projector


async def read_all(read_models: ReadModels) -> None:
    """Read every row as queries do."""
    for table in TABLES:
        for row in await read_models.rows(table.name):
            decode(table.row, row)


@pytest.mark.parametrize("cls", EVENTS)
async def test_an_example_of_every_class(read_models: ReadModels, cls: Any) -> None:
    """Also as the first event of its stream."""
    read_models.log.add(STREAM, example(cls), created(), example(cls))
    await follow(read_models)
    await read_all(read_models)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(events=st.lists(any_event(), min_size=1, max_size=8))
async def test_no_event_stops_the_projector(
    read_models: ReadModels, events: list[Any]
) -> None:
    """Others go on, and every command has its outcome."""
    name = secrets.token_hex(8)
    stream, other = f"execution/p/d/{name}", f"execution/p/d/o{name}"
    read_models.log = MemoryLog()
    async with read_models.pool.connection() as conn:
        await conn.execute("TRUNCATE projector_positions")
    for number, event in enumerate(events):
        command = f"{stream}/command/{number}"
        read_models.log.add(stream, event, command=command, reply=True)
    ref = replace(created().execution, name=f"o{name}")
    read_models.log.add(other, replace(created(), execution=ref))
    await follow(read_models)
    await read_all(read_models)

    streams = {row["stream"] for row in await read_models.rows("executions")}
    assert other in streams
    ended = {row["command_id"] for row in await read_models.rows("outcomes")}
    assert {f"{stream}/command/{number}" for number in range(len(events))} <= ended


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    answer=st.one_of(
        extreme(example(outcomes.CommandRejected)),
        extreme(example(outcomes.CommandHadNoEffect)),
        messages_of(outcomes.CommandRejected),
    ),
    stream=st.sampled_from([STREAM, "", "x", "execution/a", f"execution/p/d/{LONG}"]),
)
async def test_no_envelope_stops_the_projector(
    read_models: ReadModels, answer: Any, stream: str
) -> None:
    """Answers of any text, and events of streams that are none."""
    read_models.log = MemoryLog()
    async with read_models.pool.connection() as conn:
        await conn.execute("TRUNCATE projector_positions, outcomes")
    read_models.log.answer(stream, answer)
    read_models.log.add(stream, created(), command=LONG, reply=True)
    await follow(read_models)
    await read_all(read_models)

    ids = {key_text(answer.command_id), key_text(LONG)}
    assert {row["command_id"] for row in await read_models.rows("outcomes")} == ids


async def test_what_no_index_holds_is_shown(read_models: ReadModels) -> None:
    """Tags, signals and ids of commands of any length have rows."""
    spec = execution_pb2.ExecutionSpec(tags=[LONG])
    spec.labels.values[LONG] = LONG
    read_models.log.add(
        STREAM,
        replace(created(), spec=spec.SerializeToString()),
        e.SignalRequested(occurred_at_us=1, node_id="", signal_id=LONG, type=b""),
        e.SignalSet(occurred_at_us=2, signal_id=LONG, value=b"v", principal=LONG),
    )
    read_models.log.answer(
        STREAM, outcomes.CommandHadNoEffect(command_id=LONG, command_type="x")
    )
    projector = await follow(read_models)

    assert not projector.passed.streams
    assert len(await read_models.rows("execution_tags")) == 2
    (signal,) = await read_models.rows("signals")
    assert bytes(signal["value"]) == b"v"
    assert len(await read_models.rows("outcomes")) == 1
