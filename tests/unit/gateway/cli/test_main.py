"""The command line on the data of a real log: what it prints, how it exits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from gateway.bootstrap.data_dir import DataDir, EngineAddress
from gateway.cli.main import app
from infra.eventlog.contract import Record
from infra.eventlog.postgres.log import PostgresLog
from infra.postgres.pool import open_pool
from infra.setting_sections.storage import LogSettings
from projections.projector.projector import Projector
from schemas import sites, topics
from schemas.envelope import Envelope
from schemas.ids import EntityRef, ExecutionRef, event_id, execution_stream
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.values import NO_VALUES, Blob, Values
from schemas.wire import codec
from tests.support.components.postgres import migrated_database
from tests.support.memory_log import stored_event

NOON_US = 1_700_000_000_000_000
REF = ExecutionRef(project="flytesnacks", domain="development", name="report-1")
RUNNER = CliRunner()


def _ref(kind: str, name: str) -> EntityRef:
    return EntityRef(kind=kind, project="p", domain="d", name=name, version="1")


def _events(ref: ExecutionRef) -> list[e.ExecutionEvent]:
    site = sites.NodeSite(node_id="n0", spec_node_id="n0", kind="task")
    return [
        e.ExecutionCreated(
            occurred_at_us=NOON_US, execution=ref,
            launch_plan=_ref("LAUNCH_PLAN", "lp"), workflow=_ref("WORKFLOW", "wf"),
            task=None, spec=b"", inputs=NO_VALUES, user_inputs=NO_VALUES,
            definition=Blob(uri="x", digest="", size=1), principal="me",
            max_parallelism=1,
        ),
        e.ExecutionStarted(occurred_at_us=NOON_US),
        ne.NodeQueued(
            occurred_at_us=NOON_US, site=site, inputs=NO_VALUES,
            input_path="metadata/propeller/x/n0/data/inputs.pb",
        ),
        ne.TaskQueued(
            occurred_at_us=NOON_US, node_id="n0", attempt=0, task=_ref("TASK", "t"),
            task_type="python-task", generated_name="g",
        ),
        ne.NodeSucceeded(
            occurred_at_us=NOON_US, node_id="n0", outputs=Values(inline=b"")
        ),
        e.ExecutionSucceeded(occurred_at_us=NOON_US, outputs=NO_VALUES),
    ]  # fmt: skip


def _records(ref: ExecutionRef) -> list[Record]:
    stream = execution_stream(ref)
    return [
        stored_event(
            stream,
            number,
            event,
            correlation=stream,
            causation="cause",
            recorded_at_us=NOON_US + number,
        )
        for number, event in enumerate(_events(ref), 1)
    ]


async def _fill(url: str, refs: list[ExecutionRef]) -> None:
    log = PostgresLog(url, LogSettings(poll_interval_s=0.05))
    await log.open()
    pool = await open_pool(url, size=2)
    try:
        for ref in refs:
            await log.append(_records(ref))
        await Projector(log, pool).catch_up()
    finally:
        await pool.close()
        await log.close()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Return the arguments that name a data folder whose engine seems to run."""
    twin = msgspec.structs.replace(REF, domain="staging", name="twin")
    twins = [twin, msgspec.structs.replace(twin, domain="production")]
    url = migrated_database()
    asyncio.run(_fill(url, [REF, *twins]))
    data = DataDir(tmp_path_factory.mktemp("data"))
    run = data.blobs / "metadata/propeller/x/n0/data/0/0-abc"
    run.mkdir(parents=True)
    (run / "log.txt").write_text("hello from the task\n")
    with data.hold():
        data.announce(
            EngineAddress(
                pid=1, host="127.0.0.1", grpc_port=1, http_port=1, postgres=url,
                version="0", started_at_us=NOON_US,
            )
        )  # fmt: skip
        yield ["--data-dir", str(data.path)]


@pytest.mark.parametrize("name", ["report-1", REF.text()])
def test_shows_events_as_json_lines(engine: list[str], name: str) -> None:
    """Each event is one object, with the fields that the design names."""
    result = RUNNER.invoke(app, ["events", "show", name, "--json", *engine])
    assert result.exit_code == 0, result.output
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["sequence"] for event in events] == [1, 2, 3, 4, 5, 6]
    stream = execution_stream(REF)
    first = events[0]
    assert first["data"].pop("execution")["name"] == "report-1"
    assert first["data"].pop("principal") == "me"
    del first["data"]
    assert first == {
        "id": f"{stream}/1",
        "type": "flightlog.v2.ExecutionCreated",
        "stream": stream,
        "sequence": 1,
        "time": "2023-11-14T22:13:20.000001Z",
        "correlation": stream,
        "causation": "cause",
    }


def test_shows_events_in_words(engine: list[str]) -> None:
    """Without --json each event is a line that people read."""
    result = RUNNER.invoke(app, ["events", "show", "report-1", *engine])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 6
    assert "NodeQueued" in lines[2]
    assert "n0" in lines[2]


def test_tails_an_execution_to_its_end(engine: list[str]) -> None:
    """A tail of an execution that has ended prints everything, and ends."""
    result = RUNNER.invoke(app, ["events", "tail", "report-1", "--json", *engine])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 6


def test_folds_the_state_as_of_a_event(engine: list[str]) -> None:
    """The state goes back to any event, and an event that isn't there is refused."""
    now = RUNNER.invoke(app, ["state", "report-1", "--json", *engine])
    then = RUNNER.invoke(app, ["state", "report-1", "--at", "4", "--json", *engine])
    beyond = RUNNER.invoke(app, ["state", "report-1", "--at", "7", *engine])
    assert json.loads(now.stdout)["phase"] == "SUCCEEDED"
    early = json.loads(then.stdout)
    assert (early["phase"], early["sequence"]) == ("RUNNING", 4)
    assert early["nodes"]["n0"]["phase"] == "QUEUED"
    assert beyond.exit_code == 1
    assert "the last one is 6" in beyond.stderr


def test_prints_the_state_for_people(engine: list[str]) -> None:
    """Without --json the state is a heading and a table."""
    result = RUNNER.invoke(app, ["state", "report-1", *engine])
    assert result.exit_code == 0
    assert "SUCCEEDED as of event 6" in result.stdout
    assert "n0" in result.stdout


def test_tells_that_an_execution_is_parked(tmp_path: Path) -> None:
    """What could not be handled is told, as JSON and in words."""
    url, ref = migrated_database(), msgspec.structs.replace(REF, name="parked-1")
    parked = e.StreamParked(
        occurred_at_us=NOON_US,
        command_id="c1",
        command_type="flightlog.v1.ReportChild",
        error="ZeroDivisionError('it broke')",
    )
    stream = execution_stream(ref)
    last = Record(
        topic=topics.EVENTS,
        key=stream,
        envelope=Envelope(
            id=event_id(stream, 3),
            type=codec.type_name(parked),
            stream=stream,
            sequence=3,
        ),
        body=codec.encode(parked),
    )
    asyncio.run(_append(url, [*_records(ref)[:2], last]))
    env = {"FLIGHTLOG_POSTGRES": url}
    words = ["state", ref.text(), "--data-dir", str(tmp_path / "none")]
    told = RUNNER.invoke(app, [*words, "--json"], env=env)
    assert json.loads(told.stdout)["parked"]["error"] == parked.error
    shown = RUNNER.invoke(app, words, env=env)
    assert "ReportChild could not be handled: ZeroDivisionError" in shown.stdout


async def _append(url: str, records: list[Record]) -> None:
    log = PostgresLog(url, LogSettings(poll_interval_s=0.05))
    await log.open()
    await log.append(records)
    await log.close()


def test_prints_logs(engine: list[str]) -> None:
    """Logs of a node, or of all; a node that ran nothing is refused."""
    one = RUNNER.invoke(app, ["logs", "report-1", "n0", *engine])
    every = RUNNER.invoke(app, ["logs", "report-1", *engine])
    other = RUNNER.invoke(app, ["logs", "report-1", "n9", *engine])
    assert one.stdout == every.stdout == "hello from the task\n"
    assert other.exit_code == 1
    assert "n0" in other.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["events", "show", "nope"], 1, "Expected execution 'nope' to exist"),
        (["events", "show", "p/d/nope"], 1, "Expected execution p/d/nope to exist"),
        (["state", "a/b"], 2, "Expected project/domain/name"),
        (["state", "twin"], 2, "flytesnacks/staging/twin"),
        (["state", "report-1", "--at", "0"], 2, "--at"),
    ],
)
def test_tells_what_was_wrong(
    engine: list[str], words: list[str], code: int, text: str
) -> None:
    """Failures are one line on standard error, with an exit code that tells."""
    result = RUNNER.invoke(app, [*words, *engine])
    assert result.exit_code == code
    assert text in result.stderr
    assert result.stdout == ""


def test_tells_that_there_is_no_engine(tmp_path: Path) -> None:
    """Without an engine, or data of one, the exit code is 3."""
    where = ["--data-dir", str(tmp_path)]
    status = RUNNER.invoke(app, ["status", "--json", *where])
    assert status.exit_code == 3
    assert json.loads(status.stdout)["running"] is False
    show = RUNNER.invoke(app, ["events", "show", "x", *where])
    assert show.exit_code == 3
    assert "flightlog up" in show.stderr


def test_counts_executions_in_its_status(engine: list[str]) -> None:
    """Status tells of executions, and that this engine doesn't answer."""
    result = RUNNER.invoke(app, ["status", "--json", *engine])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["executions"] == {"SUCCEEDED": 3}
    assert found["ready"] is False
    assert "postgres" not in found


def test_helps() -> None:
    """Every command explains itself, and the version is told."""
    assert RUNNER.invoke(app, ["--version"]).stdout.startswith("flightlog ")
    for words in ([], ["up"], ["demo"], ["status"], ["events", "show"],
                  ["events", "tail"], ["state"], ["logs"], ["dead-letters", "list"],
                  ["dead-letters", "show"], ["dead-letters", "redrive"],
                  ["log", "export"], ["log", "import"]):  # fmt: skip
        result = RUNNER.invoke(app, [*words, "--help"])
        assert result.exit_code == 0
        assert "Usage" in result.stdout
