"""Outsiders publish CreateExecution with a Kafka client and the schemas alone."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig
from msgspec.structs import replace

from infra.eventlog.contract import Record
from infra.eventlog.kafka.log import KafkaLog
from infra.setting_sections.storage import KafkaSettings, LogSettings
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import EntityRef
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages.outcomes import CommandRejected
from schemas.wire import codec
from tests.support.components.kafka import broker
from tests.support.components.postgres import migrated_database
from tests.support.graphs import values
from tests.support.harness.gateway_harness import run_gateway
from tests.support.harness.kafka_engine import engine_on
from tests.support.raw import DOMAIN, PROJECT, VERSION, register_layers

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "examples" / "publish"
PLAN = f"{PROJECT}/{DOMAIN}/chain/{VERSION}"
CREATE = c.CreateExecution(
    project=PROJECT,
    domain=DOMAIN,
    name="",
    launch_plan=EntityRef(
        kind="LAUNCH_PLAN",
        project=PROJECT,
        domain=DOMAIN,
        name="chain",
        version=VERSION,
    ),
)
PYTHON = (sys.executable, str(EXAMPLE / "publish.py"))
ENDS_S = 60


@dataclass
class Engine:
    """Where an engine reads its commands."""

    kafka: KafkaSettings

    async def publish(self, *detail: str, program: tuple[str, ...]) -> tuple[int, str]:
        """Run an example as an outsider would; return how it ended and what it said."""
        kafka = self.kafka
        process = await asyncio.create_subprocess_exec(
            *program, "--servers", kafka.bootstrap_servers,
            "--prefix", kafka.prefix, *detail,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(ENDS_S):
            said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def ask(self, command: c.CreateExecution) -> str:
        """Append a command without id or headers but one; return how it ended."""
        log = KafkaLog(self.kafka, LogSettings(poll_interval_s=0.2))
        await log.open()
        try:
            stream = f"execution/{PROJECT}/{DOMAIN}/{command.name}"
            envelope = Envelope(id="", type="", stream=stream, reply=True)
            record = Record(
                topic=topics.COMMANDS,
                key=stream,
                envelope=envelope,
                body=codec.encode(command),
            )
            await log.append([record])
            return await _end_of(log, stream)
        finally:
            await log.close()


async def _end_of(log: KafkaLog, stream: str) -> str:
    async with asyncio.timeout(ENDS_S):
        async for batch in log.tail((topics.EVENTS,), {}, 100):
            for received in batch:
                message = codec.decode(received.body)
                if received.key != stream:
                    continue
                if isinstance(message, CommandRejected):
                    assert message.command_type == codec.type_name(c.CreateExecution)
                    return f"{message.reason}: {message.detail}"
                if isinstance(message, e.ExecutionSucceeded | e.ExecutionFailed):
                    return type(message).__name__
    raise AssertionError("the log ended")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The servers of a real broker."""
    with broker(tmp_path_factory.mktemp("kafka")) as found:
        yield found


@pytest.fixture
async def engine(servers: str, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine that knows a chain of two echo tasks."""
    postgres = migrated_database()
    with run_gateway(postgres, tmp_path) as gateway:
        config = PlatformConfig(endpoint=gateway.endpoint, insecure=True)
        client = SynchronousFlyteClient(config)
        await asyncio.to_thread(register_layers, client, "chain", layers=2, width=1)
        kafka = KafkaSettings(
            bootstrap_servers=servers,
            prefix=f"{secrets.token_hex(4)}.",
            partitions=2,
        )
        async with engine_on(kafka, postgres, tmp_path):
            yield Engine(kafka)


async def test_the_python_example_runs_a_workflow(engine: Engine) -> None:
    """Its inputs are JSON text; it sees every event in order, and the refusals."""
    code, said = await engine.publish(PLAN, '{"a": 7}', program=PYTHON)
    assert code == 0, said
    lines = said.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0].split()[1] == "ExecutionCreated"
    assert lines[-1].split()[1] == "ExecutionSucceeded"
    assert any("NodeSucceeded n1x0" in line for line in lines)
    code, said = await engine.publish(PLAN, '{"a": "seven"}', program=PYTHON)
    assert code == 1
    assert said.startswith("INVALID_ARGUMENT: "), said
    code, said = await engine.publish(f"{PLAN}x", "{}", program=PYTHON)
    assert code == 1, said
    assert "chain" in said


FORMS = {
    "bytes": ({"inputs": values(a=3)}, "ExecutionSucceeded"),
    "no inputs": ({}, "INVALID_ARGUMENT: "),
    "two forms": ({"inputs": b"", "inputs_json": "{}"}, "Expected inputs in one form"),
    "no object": ({"inputs_json": "[1]"}, "Expected a JSON object"),
    "no JSON": ({"inputs_json": "{"}, "Expected inputs that can be read"),
    "no map": ({"inputs": b"\xff"}, "Expected inputs that can be read"),
    "no blob": ({"inputs_uri": "nowhere/inputs.pb"}, "Expected inputs that can be"),
    "a file of the host": ({"inputs_uri": "/etc/passwd"}, "Expected inputs that can"),
}


@pytest.mark.parametrize("form", FORMS)
async def test_inputs_come_in_one_form(engine: Engine, form: str) -> None:
    """Whatever the form, what can't be read or isn't there is refused with a word."""
    fields, detail = FORMS[form]
    name = f"form-{secrets.token_hex(4)}"
    answers = await engine.ask(replace(CREATE, name=name, **fields))
    assert detail in answers


@pytest.mark.skipif(shutil.which("npm") is None, reason="Node is not here")
async def test_the_node_example_runs_a_workflow(engine: Engine, tmp_path: Path) -> None:
    """The same in another language, with nothing of Flightlog but the schemas."""
    folder = tmp_path / "publish"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules"))
    install = await asyncio.create_subprocess_exec(
        "npm", "ci", "--no-audit", "--no-fund", "--silent", cwd=folder
    )
    assert await install.wait() == 0
    schemas = Path(__file__).parents[2] / "schemas" / "avro"
    node = ("node", str(folder / "publish.mjs"), "--schemas", str(schemas))
    code, said = await engine.publish(PLAN, '{"a": 7}', program=node)
    assert code == 0, said
    assert said.splitlines()[-1].split()[1] == "ExecutionSucceeded"
    code, said = await engine.publish(PLAN, '{"b": 7}', program=node)
    assert code == 1
    assert "INVALID_ARGUMENT" in said
