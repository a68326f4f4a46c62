"""Roles as processes on a real Kafka, Postgres and S3, used with real flytekit."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from flytekit.models.core.execution import NodeExecutionPhase
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import DOMAIN, PROJECT, client, pyflyte, register
from tests.e2e.running import finish, start
from tests.support.harness.distributed import ONE_OF_EACH, Distributed, distributed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def roles() -> Iterator[Distributed]:
    """One process of each role."""
    with distributed() as found:
        yield found


@pytest.fixture(scope="module")
def folder(roles: Distributed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose flows are registered."""
    found = tmp_path_factory.mktemp("flows")
    register(roles, found, "shapes_flow.py")
    return found


@pytest.fixture(scope="module")
def remote(roles: Distributed, folder: Path) -> FlyteRemote:
    """The real client."""
    assert folder
    return client(roles)


def test_a_workflow_runs_to_its_outputs(remote: FlyteRemote) -> None:
    """Chain, fan-out, branch, sub-workflow, child: values, and all lies on S3."""
    done = finish(remote, start(remote, "shapes_flow.shapes", a=3))

    assert done.closure.phase == 4, done.closure.error
    assert [done.outputs[f"o{n}"] for n in range(4)] == [18, 16, 6, 20]
    nodes = done.node_executions.values()
    assert {n.closure.phase for n in nodes} <= {
        NodeExecutionPhase.SUCCEEDED, NodeExecutionPhase.SKIPPED
    }  # fmt: skip
    listed, _ = remote.client.list_node_executions(done.id, limit=100)
    assert {n.input_uri.partition("://")[0] for n in listed if n.input_uri} == {"s3"}


def test_pyflyte_run_waits_for_nothing_else(roles: Distributed, folder: Path) -> None:
    """An author's command, with code uploaded by links that S3 signs."""
    done = pyflyte(
        roles, folder, "run", "--remote", "shapes_flow.py", "inner", "--a", "1"
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_commands_find_it_by_settings(roles: Distributed, remote: FlyteRemote) -> None:
    """Events, state, checks and rebuilds, as on an embedded engine."""
    name = f"{PROJECT}/{DOMAIN}/{start_and_finish(remote)}"
    shown = roles.flightlog("events", "show", name, "--json")
    events = [json.loads(line) for line in shown.stdout.splitlines()]
    tailed = roles.flightlog("events", "tail", name, "--json")
    state = roles.flightlog("state", name, "--json")

    assert [f["sequence"] for f in events] == list(range(1, len(events) + 1))
    assert tailed.stdout == shown.stdout
    assert json.loads(state.stdout)["phase"] == "SUCCEEDED", state.stderr
    assert json.loads(roles.flightlog("status", "--json").stdout)["executions"]


def start_and_finish(remote: FlyteRemote) -> str:
    """Run a small workflow; return its name."""
    return str(finish(remote, start(remote, "shapes_flow.inner", a=3)).id.name)


def test_topics_are_told(roles: Distributed) -> None:
    """What is there is left as it is; what differs from the settings is an error."""
    again = roles.flightlog("topics", "create", "--json")
    found = json.loads(roles.flightlog("topics", "describe", "--json").stdout)["topics"]
    roles.env["FLIGHTLOG_KAFKA__PARTITIONS"] = "7"
    wrong = roles.flightlog("topics", "describe")
    del roles.env["FLIGHTLOG_KAFKA__PARTITIONS"]

    assert json.loads(again.stdout) == {"created": []}
    assert {t["name"]: t["partitions"] for t in found}["flightlog.events"] == 4
    assert {t["lag"] for t in found if t["name"] == "flightlog.commands"} == {0}
    assert wrong.returncode == 1
    assert "4 partitions (expected 7)" in wrong.stdout


def test_each_role_tells_how_it_is(roles: Distributed) -> None:
    """Health and metrics of every process, each with figures of its own."""
    told: dict[str, Any] = {}
    for role in roles.roles:
        url = f"http://127.0.0.1:{role.http_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as reply:
            told[role.role] = reply.read().decode()

    assert set(told) == set(ONE_OF_EACH)
    assert "flightlog_commands_handled_total" in told["propeller"]
    assert "flightlog_events_projected_total" in told["projector"]
    assert "flightlog_grpc_requests_total" in told["gateway"]
    assert "flightlog_dead_letters_total 0.0" in told["runner"]


def said(roles: Distributed, *words: str) -> Any:
    """Run a command beside the roles; return what it says as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *words, "--json"],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, **roles.env},
    )  # fmt: skip
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_log_and_views_stand_every_check(
    roles: Distributed, remote: FlyteRemote
) -> None:
    """The log on Kafka is consistent, and so are the read models."""
    done = finish(remote, start(remote, "shapes_flow.inner", a=3))
    assert done.closure.phase == 4, done.closure.error

    found = said(roles, "verify")
    assert found["findings"] == []
    assert found["streams"] >= 1
    found = said(roles, "replay")
    assert (found["same"], found["registry"]) == (True, 0)
    file = roles.folder / "log.avro"
    records = said(roles, "log", "export", str(file))["records"]
    assert records["flightlog.registry"] > 0
    assert said(roles, "state", done.id.name)["phase"] == "SUCCEEDED"
    with urllib.request.urlopen(f"{roles.http}/metrics", timeout=5) as reply:
        text = reply.read().decode()
    name = "flightlog_registry_events_relayed_total"
    (line,) = re.findall(rf"^{name} (.*)$", text, re.MULTILINE)
    assert float(line) == records["flightlog.registry"]
    assert re.search(r"^flightlog_dead_letters_total 0\.0$", text, re.MULTILINE)


def test_garbage_on_kafka_costs_nothing_else(
    roles: Distributed, remote: FlyteRemote
) -> None:
    """Bytes without a key lie with the dead letters; executions go on."""
    asyncio.run(publish(roles, b"garbage"))
    done = finish(remote, start(remote, "shapes_flow.inner", a=4))
    assert done.closure.phase == 4, done.closure.error

    dead_letter = said(roles, "dead-letters", "list")
    assert "single-object" in dead_letter["error"]
    shown = said(roles, "dead-letters", "show", dead_letter["dead_letter"])
    assert base64.b64decode(shown["bytes"]) == b"garbage"
    put_back = said(roles, "dead-letters", "redrive", dead_letter["dead_letter"])
    assert put_back["redriven"] == [dead_letter["dead_letter"]]
    again = said(roles, "dead-letters", "list")
    assert again["dead_letter"] != dead_letter["dead_letter"]


async def publish(roles: Distributed, body: bytes) -> None:
    """Put bytes on the commands topic, as anybody could."""
    topic = f"{roles.kafka.prefix}flightlog.commands"
    async with AIOKafkaProducer(
        bootstrap_servers=roles.kafka.bootstrap_servers
    ) as producer:
        await producer.send_and_wait(topic, body)


def test_each_role_ends_when_it_is_told_to(roles: Distributed) -> None:
    """SIGTERM ends every process orderly; nobody says that anything went wrong."""
    roles.stop()

    assert [role.process and role.process.returncode for role in roles.roles] == [0] * 4
    for role in roles.roles:
        assert "Traceback" not in role.tail()
