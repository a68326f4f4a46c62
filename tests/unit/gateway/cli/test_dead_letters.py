"""`flightlog dead-letters` on the data of a real log."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from infra.eventlog.contract import Received, Record
from infra.eventlog.postgres.log import PostgresLog
from infra.setting_sections.storage import LogSettings
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages import commands as c
from schemas.wire import codec
from tests.support.components.postgres import migrated_database
from tests.support.harness.propeller_harness import stream_of
from workers import dead_letters

STOP = c.TerminateExecution(cause="enough")
ONE = stream_of("one")
RUNNER = CliRunner()


def _bad(position: int, body: bytes) -> Record:
    envelope = Envelope(id=f"c{position}", type=codec.type_name(STOP), stream=ONE)
    received = Received(
        topic=topics.COMMANDS, key=ONE, envelope=envelope, body=body, partition=0,
        position=position,
    )  # fmt: skip
    return dead_letters.dead_letter_record(
        received, "Expected it whole, but it broke\nand so on", 1
    )


def _on(url: str, deed: Callable[[PostgresLog], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        log = PostgresLog(url, LogSettings(poll_interval_s=0.05))
        await log.open()
        try:
            return await deed(log)
        finally:
            await log.close()

    return asyncio.run(run())


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> str:
    """A database whose log holds two letters: one can be read, one can't."""
    found = migrated_database()
    monkeypatch.setenv("FLIGHTLOG_POSTGRES", found)
    records = [_bad(3, codec.encode(STOP)), _bad(5, b"garbage")]
    _on(found, lambda log: log.append(records))
    return found


@pytest.fixture
def run(url: str, tmp_path: Any) -> Callable[..., Any]:
    """The command line on that database."""
    del url

    def call(*words: str) -> Any:
        return RUNNER.invoke(
            app, ["dead-letters", *words, "--data-dir", str(tmp_path / "none")]
        )

    return call


def test_lists_what_lies_there(run: Callable[..., Any]) -> None:
    """One line each, oldest first; the error is cut to its first line."""
    shown = run("list")
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert "commands/0/3" in lines[0]
    assert "commands/0/5" in lines[1]
    assert lines[0].rstrip().endswith("but it broke")
    found = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert [row["dead_letter"] for row in found] == [
        "flightlog.commands/0/3",
        "flightlog.commands/0/5",
    ]
    assert run("list", "p/d/other", "--json").stdout == ""


def test_shows_a_dead_letter_with_its_message_or_its_bytes(
    run: Callable[..., Any],
) -> None:
    """What can be read is read; what can't be is shown as it is."""
    whole = json.loads(run("show", "flightlog.commands/0/3", "--json").stdout)
    assert whole["data"]["cause"] == "enough"
    broken = json.loads(run("show", "commands/0/5", "--json").stdout)
    assert base64.b64decode(broken["bytes"]) == b"garbage"
    assert "Expected Avro single-object bytes" in broken["unreadable"]
    assert "enough" in run("show", "commands/0/3").stdout
    missing = run("show", "commands/0/9")
    assert missing.exit_code == 1
    assert "Expected dead letter 'commands/0/9' to exist" in missing.stderr


def test_puts_back_what_can_be_read(url: str, run: Callable[..., Any]) -> None:
    """The execution resumes first; garbage is left; what was put back is done."""
    done = json.loads(run("redrive", "p/d/one", "--json").stdout)
    assert done["redriven"] == ["flightlog.commands/0/3"]
    assert done["left"] == ["flightlog.commands/0/5"]
    found = _on(url, _commands)
    assert [type(codec.decode(r.body)) for r in found] == [
        c.ResumeStream,
        c.TerminateExecution,
    ]
    left = run("list", "--json").stdout.splitlines()
    assert len(left) == 1
    assert len(run("list", "--all", "--json").stdout.splitlines()) == 2
    again = run("redrive", "p/d/one")
    assert again.exit_code == 1
    assert "left 1 that this version can't decode" in again.stdout
    every = run("redrive", "--all")
    assert (every.exit_code, every.stdout) == (1, again.stdout)


async def _commands(log: PostgresLog) -> Sequence[Received]:
    return [r async for b in log.read_to_end(topics.COMMANDS, {}, 9) for r in b]


@pytest.mark.parametrize("words", [[], ["p/d/one", "--all"]])
def test_wants_to_know_what(run: Callable[..., Any], words: list[str]) -> None:
    """Nothing is put back by accident."""
    refused = run("redrive", *words)
    assert refused.exit_code == 2
    assert "or --all" in refused.stderr


def test_few_letters_among_many_events_are_found_by_an_index(url: str) -> None:
    """Listing them doesn't read the whole log."""
    many = (
        "INSERT INTO flightlog_log (originator_id, originator_version, topic, state) "
        "SELECT 's' || i, 1, 'flightlog.events', '' FROM generate_series(1, 20000) i"
    )
    asked = (
        "EXPLAIN SELECT state FROM flightlog_log "
        "WHERE topic = 'flightlog.dead-letters' AND notification_id > 0 "
        "ORDER BY notification_id LIMIT 1000"
    )
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(many)
        conn.execute("ANALYZE flightlog_log")
        plan = str(conn.execute(asked).fetchall())
    assert "flightlog_log_dead_letters" in plan
