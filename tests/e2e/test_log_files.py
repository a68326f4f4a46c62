"""A whole log carried to another engine, and dead letters put back by a running one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig

from infra.eventlog import avro_file
from infra.eventlog.contract import Received
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.commands import TerminateExecution
from schemas.wire import codec
from tests.support.harness.engine_process import Running
from tests.support.raw import create, register_layers, wait
from workers import dead_letters

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

STREAM = "execution/flytesnacks/development/gone"


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[tuple[Running, Running]]:
    """Two engines on folders of their own, not yet started."""
    found = Running(tmp_path / "here", "echo"), Running(tmp_path / "there", "echo")
    yield found
    for engine in found:
        if engine.process is not None:
            engine.stop()


def client(engine: Running) -> SynchronousFlyteClient:
    """Return a client of an engine."""
    return SynchronousFlyteClient(
        PlatformConfig(endpoint=engine.endpoint, insecure=True)
    )


def told(engine: Running, *words: str) -> list[Any]:
    """Run a command on an engine's data; return its lines of JSON."""
    command = engine.command(*words, "--json", "--data-dir", str(engine.data_dir))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def add_dead_letter(path: Path) -> None:
    """Add to an export what nobody could handle: an abort of what isn't there."""
    records = [r for page, _ in avro_file.read_pages(path, 100) for r in page]
    stop = TerminateExecution(cause="enough")
    envelope = Envelope(id="stop", type=codec.type_name(stop), stream=STREAM)
    received = Received(
        topic=topics.COMMANDS, key=STREAM, envelope=envelope, body=codec.encode(stop),
        partition=0, position=7,
    )  # fmt: skip
    records.append(
        dead_letters.dead_letter_record(received, "Expected it, but it broke", 1)
    )
    with avro_file.open_writer(path, {}) as file:
        file.write(records)


def test_a_log_is_carried_to_another_engine(
    engines: tuple[Running, Running], tmp_path: Path
) -> None:
    """Its executions are shown there; a running engine puts dead letters back."""
    here, there = engines
    file = tmp_path / "log.avro"
    here.start()
    register_layers(client(here), "chain", layers=2, width=1)
    name = create(client(here), "chain", "carried")
    assert wait(client(here), name, 30) == "SUCCEEDED"
    (exported,) = told(here, "log", "export", str(file))
    here.stop()
    add_dead_letter(file)

    (imported,) = told(there, "log", "import", str(file))
    assert (
        imported["records"]["flightlog.events"]
        == (exported["records"]["flightlog.events"])
    )
    there.start()
    assert wait(client(there), name, 10) == "SUCCEEDED"
    assert told(there, "verify")[0]["findings"] == []
    assert told(there, "replay")[0]["same"]
    (dead_letter,) = told(there, "dead-letters", "list")
    (done,) = told(there, "dead-letters", "redrive", "--all")
    assert done["redriven"] == [dead_letter["dead_letter"]]
    assert told(there, "dead-letters", "list") == []
