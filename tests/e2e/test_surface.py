"""What flytekit offers beyond graphs and types, as flytekit's local run has it."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import VERSION
from tests.e2e.running import finish, start
from tests.support.harness.engine_process import Running

pytestmark = pytest.mark.e2e
SUCCEEDED, FAILED = 4, 6


NOTEBOOK = """
import sys
from flytekit import task
from flytekit.configuration import Config, PlatformConfig
from flytekit.remote import FlyteRemote

BASE = 40

@task
def above(a: int) -> int:
    return BASE + a

platform = PlatformConfig(endpoint=sys.argv[1], insecure=True)
remote = FlyteRemote(
    Config(platform=platform), "flytesnacks", "development",
    interactive_mode_enabled=True,
)
run = remote.execute(above, inputs={"a": 2})
print(remote.wait(run, poll_interval=1).outputs["o0"])
"""


def outputs(remote: FlyteRemote, name: str, **inputs: object) -> list[object]:
    """Execute a workflow of surface_flow and return its outputs in order."""
    done = finish(remote, start(remote, f"surface_flow.{name}", **inputs))
    assert done.closure.phase == SUCCEEDED, done.closure.error
    return [done.outputs[key] for key in sorted(done.outputs.literals)]


def test_workflows_give_inputs_back(remote: FlyteRemote) -> None:
    """Without nodes, at the top and inside."""
    assert outputs(remote, "passing") == [4, "näme", 5]


def test_containers_give_files(remote: FlyteRemote) -> None:
    """A ContainerTask reads and writes files, at the paths that it names."""
    assert outputs(remote, "containers") == ["hello wörld", 4]


def test_notebooks_send_pickled_tasks(engine: Running, tmp_path: Path) -> None:
    """Tasks that no module holds travel as they are."""
    script = tmp_path / "notebook.py"
    script.write_text(NOTEBOOK)
    done = subprocess.run(
        [sys.executable, str(script), engine.endpoint],
        capture_output=True, text=True, timeout=90, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.split()[-1:] == ["42"], done.stdout + done.stderr


def test_attempts_go_on_from_checkpoints(remote: FlyteRemote) -> None:
    """Each attempt reads what the one before it kept."""
    assert outputs(remote, "checkpoints") == [2]


def test_eager_tasks_call_back(remote: FlyteRemote) -> None:
    """What they await are executions of their own, labelled with the eager one."""
    task = remote.fetch_task(name="surface_flow.impatient", version=VERSION)
    done = finish(remote, remote.execute(task, inputs={"a": 3}))

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 14
    recent = remote.recent_executions(limit=20)
    labels = [e.spec.labels.values.get("eager-exec") for e in recent]
    assert labels.count(done.id.name) == 2


def test_a_failed_tasks_deck_can_be_read(remote: FlyteRemote) -> None:
    """It is found by the node, and by a link."""
    done = finish(remote, start(remote, "surface_flow.decks"))

    assert done.closure.phase == FAILED
    assert done.node_executions["n0"].closure.deck_uri.endswith("/deck.html")
    links = remote.client.get_download_artifact_signed_url(
        "n0", done.id.project, done.id.domain, done.id.name
    )
    with urllib.request.urlopen(links.signed_url[0]) as reply:
        assert "<p>hellö</p>" in reply.read().decode()


def test_outputs_may_be_offloaded(remote: FlyteRemote) -> None:
    """Each in a blob of its own: fields, lists and conditions still find them."""
    plan = remote.fetch_launch_plan(name="surface_flow.offloads", version=VERSION)
    asked = remote.execute(plan, inputs={}, envs={"_F_L_MIN_SIZE_MB": "0"})
    done = finish(remote, asked)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    found = [done.outputs.get(f"o{i}", as_type=int) for i in (0, 1, 3)]
    assert found == [4, 3, 2]
    assert done.outputs.get("o2", as_type=list[int]) == [1, 2, 3]
    spans = remote.client.get_execution_metrics(done.id, depth=-1).spans
    assert spans[0].operation_id == "WORKFLOW_SETUP"
    assert len([span for span in spans if span.WhichOneof("id") == "node_id"]) == 7
    aside = remote.client.get_node_execution_data(done.node_executions["n0"].id)
    literal = aside.full_outputs.literals["o0"].to_flyte_idl()
    assert literal.offloaded_metadata.uri.endswith("o0_offloaded_metadata.pb")
