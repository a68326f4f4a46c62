"""Lengths: whatever a client sends has a limit, and what is longer a clear refusal."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.admin import (
    execution_pb2,
    launch_plan_pb2,
    matchable_resource_pb2,
    project_pb2,
    task_pb2,
)
from flyteidl.core import tasks_pb2
from msgspec.structs import replace

from domain import text_limits
from domain.admission import check_ids
from domain.registry import (
    attributes,
    evictions,
    execution_states,
    launch_plans,
    named_entities,
    projects,
    tasks,
)
from domain.text_limits import cut, envelope_violation, spec_violation
from schemas.envelope import Envelope
from schemas.ids import EntityRef, ExecutionRef, ParentNode
from schemas.messages import commands as c
from schemas.messages import registry_events as r
from schemas.messages.rejections import Reason, Rejected
from tests.support.engine import STREAM, Engine, created
from tests.support.graphs import definition, task_node, task_template
from tests.support.messages import example
from tests.unit.domain.test_admission import WANTED

LONG = "x" * 5_000
Spec = execution_pb2.ExecutionSpec


def too_long(found: Any) -> None:
    """Check that a refusal names the limit and the size."""
    assert isinstance(found, Rejected), found
    assert found.reason is Reason.INVALID_ARGUMENT
    assert "bytes, but it has " in found.detail
    assert len(found.detail) < 200


def spec(**fields: Any) -> Spec:
    """Return a spec whose maps have an item."""
    found = Spec()
    for name, value in fields.items():
        getattr(found, name).values.update(value)
    return found


@pytest.mark.parametrize(
    "wanted",
    [
        Spec(tags=["ok", "t" * 501]),
        spec(labels={f"{'a' * 300}/{'b' * 60}": "v"}),
        spec(annotations={"a": "v" * 131_001}),
        spec(annotations={f"{number}": "v" * 130_000 for number in range(9)}),
        Spec(envs={"values": [{"key": "A", "value": "v" * 131_001}]}),
        Spec(raw_output_data_config={"output_location_prefix": LONG}),
        Spec(execution_cluster_label={"value": LONG}),
        Spec(metadata={"principal": LONG}),
        Spec(metadata={"reference_execution": {"name": LONG}}),
        Spec(security_context={"run_as": {"iam_role": LONG}}),
        Spec(cluster_assignment={"cluster_pool_name": LONG}),
        Spec(
            notifications={"notifications": [{"email": {"recipients_email": [LONG]}}]}
        ),
    ],
)
def test_a_spec_has_no_long_texts(wanted: Any) -> None:
    """Of whatever field: tags, labels and all others."""
    found = spec_violation(wanted)
    assert found is not None
    assert "bytes, but it has " in found


def test_a_spec_may_have_what_is_usual() -> None:
    """Variables and annotations may be long, inputs aren't looked at."""
    wanted = spec(annotations={"a": "v" * 100_000}, labels={"team": "x"})
    wanted.envs.values.add(key="A", value="v" * 100_000)
    wanted.inputs.literals["a"].scalar.primitive.string_value = LONG
    wanted.inputs.literals["b"].scalar.binary.value = b"x" * 2_000_000
    wanted.tags.append("t" * 500)
    assert spec_violation(wanted) is None
    assert "1001" in str(spec_violation(Spec(tags=["t"] * 1_001)))


@pytest.mark.parametrize(
    "command",
    [
        replace(WANTED, launch_plan=replace(WANTED.launch_plan, version=LONG)),
        replace(WANTED, recovers=ExecutionRef(project="p", domain="d", name=LONG)),
        replace(
            WANTED,
            parent=ParentNode(stream=f"execution/p/d/{LONG}", node_id="n", attempt=0),
        ),
        replace(WANTED, parent=ParentNode(stream=STREAM, node_id=LONG, attempt=0)),
        replace(WANTED, project=LONG),
        replace(WANTED, inputs_uri=LONG),
    ],
)
def test_ids_of_a_creation_are_short(command: c.CreateExecution) -> None:
    """They become keys, and parts of other ids."""
    too_long(check_ids(command))


def test_a_parent_is_an_execution() -> None:
    """Its stream is read for the name of the execution that asked."""
    parent = ParentNode(stream="runner/r1", node_id="n", attempt=0)
    found = check_ids(replace(WANTED, parent=parent))
    assert isinstance(found, Rejected)
    assert "a parent's stream like execution/" in found.detail


@pytest.mark.parametrize(
    "command",
    [
        c.TerminateExecution(cause="x" * 10_001),
        c.TerminateExecution(cause="", principal=LONG),
        c.RequestSignal(signal_id=LONG, type=b"\x08\x01"),
        c.RequestSignal(signal_id="s", type=b"x" * 65_537),
        c.SetSignal(signal_id="s", value=b"x" * 262_145),
        c.SetSignal(signal_id="s", value=b"", principal=LONG),
        c.ResumeStream(principal=LONG),
        c.DeleteExecution(principal=LONG),
    ],
)
def test_commands_have_no_long_texts(command: Any) -> None:
    """Every public one is refused by its decider."""
    engine = Engine(definition([task_node("a")], "a"), created())
    engine.begin()
    too_long(engine.decide(command))


def test_every_public_command_has_limits() -> None:
    """A new one is refused without them: this test names those that have some."""
    limited = {c.TerminateExecution, c.RequestSignal, c.SetSignal, c.ResumeStream}
    limited |= {c.DeleteExecution, c.CreateExecution}
    assert limited == set(c.PUBLIC)


@pytest.mark.parametrize("name", list(Envelope.__struct_fields__))
def test_envelopes_have_no_long_texts(name: str) -> None:
    """Their texts travel in headers, and ids become keys."""
    envelope = Envelope(id="i", type="t", stream=STREAM)
    assert envelope_violation(envelope) is None
    if isinstance(getattr(envelope, name), str):
        found = envelope_violation(replace(envelope, **{name: LONG}))
        assert f"a command's {name} of at most 1024 bytes" in str(found)


def _described(**change: str) -> r.NamedEntityDescribed:
    return replace(example(r.NamedEntityDescribed), state=0, kind="TASK", **change)


def _task(**metadata: str) -> task_pb2.TaskCreateRequest:
    request = task_pb2.TaskCreateRequest()
    request.spec.template.CopyFrom(task_template())
    request.id.CopyFrom(request.spec.template.id)
    request.spec.template.metadata.MergeFrom(tasks_pb2.TaskMetadata(**metadata))
    return request


REF = EntityRef(kind="TASK", project="p", domain="d", name=LONG, version="v")
KEY = attributes.AttributesKey(resource="TASK_RESOURCE", project="p", workflow=LONG)
NO_ATTRIBUTES = matchable_resource_pb2.MatchingAttributes()
LABELLED = project_pb2.Project(id="p", labels={"values": {"a": LONG}})


@pytest.mark.parametrize(
    "decided",
    [
        lambda: attributes.replace((), KEY, NO_ATTRIBUTES, now_us=1),
        lambda: evictions.evict((), "p", "d", LONG, now_us=1),
        lambda: execution_states.set_state(
            (), replace(example(r.ExecutionStateSet), state=1, principal=LONG)
        ),
        lambda: named_entities.describe((), _described(name=LONG)),
        lambda: projects.register((), LABELLED, now_us=1),
        lambda: tasks.register((), _task(discovery_version=LONG), now_us=1),
    ],
)
def test_deciders_of_the_registry_refuse_long_texts(decided: Any) -> None:
    """What they store becomes a key, or a column."""
    too_long(decided())


def test_a_launch_plan_has_no_long_texts() -> None:
    """Its settings become those of executions; its inputs aren't looked at."""
    given = launch_plan_pb2.LaunchPlanSpec()
    given.labels.values["a"] = LONG
    found = text_limits.texts_violation(given, "spec")
    assert found is not None
    assert launch_plans.texts_violation is text_limits.texts_violation


def test_a_cut_text_is_whole_characters() -> None:
    """What the engine passes on itself is cut, not refused."""
    assert cut("é" * 4, 5) == "éé"
    assert cut("abc", 3) == "abc"
