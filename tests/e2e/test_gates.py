"""Gates, by real flytekit: sleep, wait_for_input, approve (ref §5.6)."""

from __future__ import annotations

import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flyteidl.admin import execution_pb2
from flytekit.configuration import Config, PlatformConfig
from flytekit.exceptions.user import (
    FlyteEntityAlreadyExistsException,
    FlyteInvalidInputException,
)
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import DOMAIN, FLOWS, PROJECT, VERSION, pyflyte
from tests.e2e.running import finish, run, start
from tests.support.harness.engine_process import Running

pytestmark = pytest.mark.e2e
SUCCEEDED, FAILED = 4, 6
USER = 1


def signals(remote: FlyteRemote, execution: Any, count: int) -> dict[str, Any]:
    """Return an execution's signals once there are so many."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = {s.id.signal_id: s for s in remote.list_signals(execution.id.name)}
        if len(found) >= count:
            return found
        time.sleep(0.05)
    raise AssertionError("the signals aren't asked for")


def test_a_sleep(remote: FlyteRemote) -> None:
    """What follows it begins once it is over, and it has no task execution."""
    began = time.monotonic()
    done = run(remote, "gates_flow.wf_sleeps", a=4)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 8
    assert time.monotonic() - began >= 2
    assert not done.node_executions["n0"].task_executions


def test_inputs_that_people_give(remote: FlyteRemote) -> None:
    """They are listed with their types, set by name, and handed on."""
    execution = start(remote, "gates_flow.wf_asks", a=4)
    name = execution.id.name
    found = signals(remote, execution, 2)
    assert set(found) == {"more", "word"}
    assert not found["more"].HasField("value")

    with pytest.raises(FlyteInvalidInputException) as refused:
        remote.set_signal("more", name, "many")
    assert "Expected signal 'more' to get" in str(refused.value.__cause__)
    with pytest.raises(FlyteInvalidInputException) as refused:
        remote.set_signal("less", name, 1)
    assert "it waits for more, word" in str(refused.value.__cause__)
    remote.set_signal("more", name, 5)
    remote.set_input("word", name, "well")
    done = finish(remote, execution)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert (done.outputs["o0"], done.outputs["o1"]) == (13, "well")
    remote.set_input("word", name, "late")
    listed = signals(remote, execution, 2)
    assert listed["more"].value.scalar.primitive.integer == 5


def test_an_approval(remote: FlyteRemote, engine: Running) -> None:
    """A yes lets what was approved go on; REST shows the signal."""
    execution = start(remote, "gates_flow.wf_approves", a=4)
    signals(remote, execution, 1)
    path = f"/api/v1/signals/{PROJECT}/{DOMAIN}/{execution.id.name}?limit=9"
    with urllib.request.urlopen(engine.http + path, timeout=10) as reply:
        assert b"fine" in reply.read()
    remote.approve("fine", execution.id.name)
    done = finish(remote, execution)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 9


def test_what_a_launch_plans_limit_skips(remote: FlyteRemote) -> None:
    """While as many run as may, another isn't created; not even at the same time."""
    plan = remote.fetch_launch_plan(name="gates_flow.one_at_a_time", version=VERSION)
    spec = execution_pb2.ExecutionSpec(launch_plan=plan.id.to_flyte_idl())
    request = execution_pb2.ExecutionCreateRequest(
        project=PROJECT, domain=DOMAIN, spec=spec
    )

    def create(_: int) -> str | None:
        try:
            return str(remote.client._stub.CreateExecution(request).id.name)
        except FlyteEntityAlreadyExistsException:
            return None

    with ThreadPoolExecutor(4) as callers:
        created = [name for name in callers.map(create, range(4)) if name]
    assert len(created) == 1
    execution = remote.fetch_execution(name=created[0])
    remote.terminate(execution, "enough")
    finish(remote, execution)
    again = create(0)
    assert again is not None
    remote.terminate(remote.fetch_execution(name=again), "enough")


def test_a_rejection(remote: FlyteRemote) -> None:
    """A no fails the execution for good."""
    execution = start(remote, "gates_flow.wf_approves", a=4)
    signals(remote, execution, 1)
    remote.reject("fine", execution.id.name)
    done = finish(remote, execution)

    assert done.closure.phase == FAILED
    assert done.closure.error.code == "ReceivedRejectSignal"
    assert done.closure.error.kind == USER


def test_nobody_answers_in_time(remote: FlyteRemote) -> None:
    """A gate that has waited for too long fails as a task would."""
    done = run(remote, "gates_flow.wf_too_late")

    assert done.closure.phase == FAILED
    assert done.closure.error.code == "RetriesExhausted|TimeoutExpired"


@pytest.mark.timeout(120)
def test_gates_survive_kill_9(tmp_path: Path) -> None:
    """A sleep ends, and a signal that was asked for can be set, after a restart."""
    engine = Running(tmp_path / "data")
    engine.start()
    (tmp_path / "gates_flow.py").write_bytes((FLOWS / "gates_flow.py").read_bytes())
    words = ("register", "-p", PROJECT, "-d", DOMAIN, "--version", VERSION)
    made = pyflyte(engine, tmp_path, *words, "gates_flow.py")
    assert made.returncode == 0, made.stdout + made.stderr
    platform = PlatformConfig(endpoint=engine.endpoint, insecure=True)
    remote = FlyteRemote(
        Config(platform=platform), default_project=PROJECT, default_domain=DOMAIN,
        interactive_mode_enabled=False,
    )  # fmt: skip
    asked = start(remote, "gates_flow.wf_asks", a=1)
    signals(remote, asked, 2)
    sleeper = start(remote, "gates_flow.wf_sleeps", a=1)
    remote.set_signal("more", asked.id.name, 5)
    engine.kill()
    engine.start()
    remote.set_signal("word", asked.id.name, "again")

    assert finish(remote, sleeper).closure.phase == SUCCEEDED
    assert finish(remote, asked).outputs["o0"] == 7
    engine.stop()
