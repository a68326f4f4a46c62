"""A second kind of stream in read models and commands, on a real Postgres."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer

from domain.execution.state.state import Execution
from gateway.cli.commands.log import dead_letters, events, log_files, replay, state
from gateway.cli.commands.log import verify as verifying
from gateway.cli.errors import CommandError
from gateway.cli.session.session import Session, open_session
from infra.eventlog.postgres.log import PostgresLog
from infra.setting_sections.storage import LogSettings
from infra.settings import Settings
from projections.projector.projector import Projector, rebuild
from projections.queries import streams
from schemas.messages import execution_events as e
from tests.support.components.postgres import migrated_database
from tests.support.counters import kind as counters
from tests.support.counters.messages import AddToCounter, CloseCounter, CounterClosed
from tests.support.counters.read_model import CREATE_TABLE, PROJECTIONS
from tests.support.harness.propeller_harness import Harness

ONE, TWO = "counter/one", "counter/two"
pytestmark = pytest.mark.integration


@dataclass
class Ran:
    """A log on which counters and an execution ran, and a session on its data."""

    url: str
    session: Session
    execution: str

    async def project(self) -> Projector:
        """Apply what is on the log; return the projector."""
        async with _log(self.url) as log:
            projector = Projector(log, self.session.pool, projections=PROJECTIONS)
            await projector.catch_up()
            return projector


class _log:  # noqa: N801 - used like a function
    """The log of a database, while nobody else owns it."""

    def __init__(self, url: str) -> None:
        self.log = PostgresLog(url, LogSettings(poll_interval_s=0.05))

    async def __aenter__(self) -> PostgresLog:
        await self.log.open()
        return self.log

    async def __aexit__(self, *_: object) -> None:
        await self.log.close()


@pytest.fixture
async def ran(tmp_path: Path) -> AsyncIterator[Ran]:
    """Counters that added, broke and ended, and an execution that runs."""
    url = migrated_database()
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(CREATE_TABLE)
    async with _log(url) as log:
        harness = Harness(log, folds=True, kinds=counters.KINDS)
        async with harness.propeller():
            execution = await harness.create("one")
            await harness.send(ONE, AddToCounter(amount=5, forward_to=TWO))
            await harness.send(ONE, AddToCounter(amount=3, delay_us=10**12))
            await harness.send(ONE, AddToCounter(amount=counters.BROKEN))
            await harness.until_dead_letters(1)
            await harness.send(TWO, CloseCounter())
            await harness.until_events(TWO, CounterClosed)
            await harness.until_events(execution, e.ExecutionStarted)
    settings = Settings(postgres=url, data_dir=tmp_path / "data")
    async with open_session(settings, create=True) as opened:
        session = replace(opened, kinds=counters.KINDS, projections=PROJECTIONS)
        found = Ran(url, session, execution)
        await found.project()
        yield found


def said(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """Return the JSON values that were printed, one a line."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_counters_have_rows_of_their_own(ran: Ran) -> None:
    """Each kind's events change its tables; phases are known of every stream."""
    pool = ran.session.pool
    phases = await streams.phases(pool, PROJECTIONS)
    assert phases == {ran.execution: "RUNNING", ONE: "OPEN", TWO: "CLOSED"}
    assert await streams.open_streams(pool, PROJECTIONS) == [ran.execution, ONE]
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT * FROM counters WHERE stream = %s", (ONE,))
        row = await cursor.fetchone()
    assert row is not None
    assert (row["phase"], row["last_amount"]) == ("OPEN", 5)


async def test_a_rebuild_gives_the_same_rows(
    ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    """Replay compares the tables of every kind; a swap puts right what was changed."""
    await replay.run(ran.session, None, swap=False, json=True)
    (found,) = said(capsys)
    assert found["same"]
    assert "counters" in {table["table"] for table in found["read_models"]}

    with psycopg.connect(ran.url, autocommit=True) as conn:
        conn.execute("UPDATE counters SET last_amount = 17 WHERE stream = %s", (ONE,))
        conn.execute("INSERT INTO counters VALUES ('counter/x', 'OPEN', 0, now())")
    with pytest.raises(typer.Exit):
        await replay.run(ran.session, None, swap=False, json=True)
    tables = {t["table"]: t for t in said(capsys)[0]["read_models"]}
    counts = tables["counters"]["only_live"], tables["counters"]["only_rebuilt"]
    assert counts == (2, 1)

    await replay.run(ran.session, "2001-01-01", swap=True, json=True)
    capsys.readouterr()
    with pytest.raises(typer.Exit):
        await replay.run(ran.session, None, swap=False, json=True)
    tables = {t["table"]: t for t in said(capsys)[0]["read_models"]}
    counts = tables["counters"]["only_live"], tables["counters"]["only_rebuilt"]
    assert counts == (1, 0), "what begins nowhere is in no part of the log"
    await replay.run(ran.session, None, swap=True, json=True)
    await replay.run(ran.session, None, swap=False, json=True)
    assert said(capsys)[-1]["same"]

    async with _log(ran.url) as log:
        await rebuild(log, ran.session.pool, projections=PROJECTIONS)
    await replay.run(ran.session, None, swap=False, json=True)
    assert said(capsys)[-1]["same"]


async def test_verify_compares_every_kind(
    ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    """A phase that a counter never had is found in its read model."""
    await verifying.run(ran.session, None, json=True)
    (found,) = said(capsys)
    assert (found["streams"], found["findings"]) == (3, [])

    with psycopg.connect(ran.url, autocommit=True) as conn:
        conn.execute("UPDATE counters SET phase = 'CLOSED' WHERE stream = %s", (ONE,))
    with pytest.raises(typer.Exit):
        await verifying.run(ran.session, None, json=True)
    (finding,) = said(capsys)[0]["findings"]
    assert finding["at"] == ONE


async def test_commands_take_any_streams_id(
    ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    """Events, state and dead letters of a counter are shown as an execution's are."""
    await events.show(ran.session, TWO, json=True)
    shown = said(capsys)
    assert [event["type"].rpartition(".")[2] for event in shown] == [
        "CounterAdded",
        "CounterClosed",
    ]
    await events.show(ran.session, ONE, json=False)
    text = capsys.readouterr().out
    assert "5 added" in text
    assert "parked" in text

    await state.show(ran.session, ONE, 2, json=True)
    (found,) = said(capsys)
    expected = {"counter": "one", "sequence": 2, "phase": "OPEN", "value": 5}
    assert expected.items() <= found.items()
    await state.show(ran.session, ONE, None, json=False)
    text = capsys.readouterr().out
    assert "one is OPEN as of event 3" in text
    assert "parked: flightlog.v1.AddToCounter" in text
    assert "its value is 5" in text
    await state.show(ran.session, "one", None, json=True)
    assert said(capsys)[0]["execution"] == "p/d/one"
    with pytest.raises(CommandError, match="Expected counter none to exist"):
        await events.show(ran.session, "counter/none", json=True)

    await dead_letters.show_all(ran.session, ONE, redriven=False, json=False)
    assert "counter/one" in capsys.readouterr().out
    await dead_letters.redrive(ran.session, [ONE], every=False, json=True)
    (done,) = said(capsys)
    assert (len(done["redriven"]), done["left"]) == (1, [])


async def test_a_log_of_both_kinds_is_exported_and_goes_on_elsewhere(
    ran: Ran, tmp_path: Path
) -> None:
    """What is exported is imported whole, and a propeller goes on from there."""
    file = tmp_path / "log.avro"
    await log_files.export(ran.session, file, force=False, json=True)
    url = migrated_database()
    settings = Settings(postgres=url, data_dir=tmp_path / "there")
    async with open_session(settings, create=True) as session:
        await log_files.import_(session, file, json=True)
    async with _log(url) as log:
        harness = Harness(log, folds=True, kinds=counters.KINDS)
        async with harness.propeller() as partitions:

            async def restored() -> bool:
                return partitions.active == 2

            await harness.until(restored)
            found = partitions.served[0].streams.active
            assert found[ONE].state.value == 5
            assert found[ONE].state.parked is not None
            assert isinstance(found[ran.execution].state, Execution)
