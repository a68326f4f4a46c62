"""A history that can have happened is accepted; each kind of lie is found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flyteidl.core import literals_pb2
from flytekit.exceptions.user import FlyteTimeout

from schemas.messages import node_events as ne
from schemas.messages.outcomes import CommandRejected
from schemas.values import Values
from schemas.wire import codec
from tests.history.checker import check, literal_map
from tests.history.journal import Journal
from tests.support.engine import Engine, created
from tests.support.graphs import definition, launch_plan_node, task_node, values

STREAM = "execution/p/d/main-1"
CHILD = "execution/p/d/main-1-n1-0"
ENDS = {"phase": "SUCCEEDED", "outputs": {"o0": 7}}
Events = list[dict[str, Any]]


def printed(engine: Engine, stream: str, cause: str = "create") -> Events:
    """Return the events of an engine as the CLI prints them."""
    return [
        line(stream, number, codec.type_name(event), codec.to_json(event), cause)
        for number, event in enumerate(engine.events, 1)
    ]


def line(
    stream: str, number: int, kind: str, data: Any, cause: str = ""
) -> dict[str, Any]:
    """Return one line of `flightlog events … --json`."""
    return {
        "id": f"{stream}/{number}", "type": kind, "stream": stream, "sequence": number,
        "time": "2023-11-14T22:13:20Z", "correlation": stream, "causation": cause,
        "data": data,
    }  # fmt: skip


class Told:
    """A history: one execution that was created, watched, and succeeded."""

    def __init__(self, path: Path) -> None:
        self.now = 0.0
        self.journal = Journal(path / "journal.jsonl", lambda: self.now)
        nodes = [task_node("n0"), task_node("n1", "n0")]
        engine = Engine(definition(nodes, "n1"), created())
        self.steps = [0]
        engine.begin()
        self.steps.append(len(engine.events))
        for node in ("n0", "n1"):
            engine.succeed(node, o0=7)
            self.steps.append(len(engine.events))
        self.events = printed(engine, STREAM)
        for number, event in enumerate(self.events):
            step = sum(number >= step for step in self.steps)
            event["causation"] = f"step {step}"

    def tell(self) -> None:
        """Write what the client did."""
        stream, journal = STREAM, self.journal
        for client in ("a", "b"):
            self.read(client, phase="NOT_FOUND")
        self.now += 1
        with journal.sending("a", "create", "CreateExecution", stream, ends=ENDS):
            self.now += 1
        self.read("a", phase="RUNNING", nodes={"n0": "QUEUED"})
        self.read("b", phase="NOT_FOUND")  # it was told nothing
        self.read("a", nodes={"n0": "SUCCEEDED"})
        self.read("b", phase="RUNNING")
        self.read("a", sequence=len(self.events))
        self.read("a", phase="SUCCEEDED", outputs={"o0": 7})

    def read(self, client: str, **saw: Any) -> None:
        """Read, which takes time."""
        self.now += 1
        self.journal.read(client, STREAM, self.now - 0.5, **saw)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """A true history."""
    found = Told(tmp_path)
    found.tell()
    return found


def test_what_happened_is_accepted(told: Told) -> None:
    """Nothing is wrong with what clients were told, whatever prefix they saw."""
    assert check(told.events, told.journal.entries()) == []


def _lost(events: Events) -> None:
    del events[3]


def _doubled(events: Events) -> None:
    events.insert(4, events[3])


def _repeated_later(events: Events) -> None:
    """Everything the second task's end led to, again, before the end."""
    again = copy.deepcopy([e for e in events if e["causation"] == "step 2"])
    _renumbered(events, len(events), again)


def _twice_in_a_row(events: Events) -> None:
    """The same decision appended twice, with sequences that go on."""
    last = [i for i, e in enumerate(events) if e["causation"] == "step 2"][-1]
    again = copy.deepcopy([e for e in events if e["causation"] == "step 2"])
    _renumbered(events, last + 1, again)


def _renumbered(events: Events, at: int, more: Events) -> None:
    events[at:at] = more
    for number, event in enumerate(events, 1):
        event["sequence"], event["id"] = number, f"{STREAM}/{number}"


def _no_beginning(events: Events) -> None:
    del events[0]
    _renumbered(events, 0, [])


def _second_ending(events: Events) -> None:
    data = {"occurred_at_us": 1, "failure": {}}
    kind = "flightlog.v1.ExecutionFailed"
    events.append(line(STREAM, len(events) + 1, kind, data, "late"))


def _attempt_ends_twice(events: Events) -> None:
    done = next(e for e in events if e["type"].endswith("TaskSucceeded"))
    again = copy.deepcopy(done) | {"causation": "another report"}
    again["data"]["ended_at_us"] = 5
    _renumbered(events, events.index(done) + 1, [again])


def _other_outputs(events: Events) -> None:
    inline = codec.to_json(ne.NodeSucceeded(
        occurred_at_us=1, node_id="n1", outputs=Values(inline=values(o0=8)),
    ))  # fmt: skip
    events[-1]["data"]["outputs"] = inline["outputs"]


def _not_ended(events: Events) -> None:
    del events[-1]


def _not_begun(events: Events) -> None:
    events.clear()


def _foreign_id(events: Events) -> None:
    events[2]["id"] = f"{STREAM}/2"


LIES: list[tuple[Callable[[Events], None], str]] = [
    (_lost, "sequence 5 follows 3"),
    (_doubled, "sequence 4 follows 4"),
    (_repeated_later, "don't stand together"),
    (_twice_in_a_row, "there is a second"),
    (_no_beginning, "begins with ExecutionStarted"),
    (_second_ending, "ExecutionFailed 23 follows ExecutionSucceeded"),
    (_attempt_ends_twice, "there is a second ('end of attempt', 'n0', 0)"),
    (_other_outputs, "the model yields {'o0': 7}, not {'o0': 8}"),
    (_not_ended, "the model ends SUCCEEDED, the log is under way"),
    (_not_begun, "was acknowledged, but has no effect"),
    (_foreign_id, "event 3 has the id"),
]


@pytest.mark.parametrize(
    ("lie", "words"), LIES, ids=lambda case: getattr(case, "__name__", str(case)[:30])
)
def test_a_doctored_log_is_found(
    told: Told, lie: Callable[[Events], None], words: str
) -> None:
    """Events that are lost, doubled, out of place or different."""
    lie(told.events)
    found = check(told.events, told.journal.entries())
    assert any(words in what for what in found), found


READS: list[tuple[str, dict[str, Any]]] = [
    ("a", {"phase": "RUNNING"}),  # it had seen the end
    ("a", {"phase": "NOT_FOUND"}),
    ("a", {"nodes": {"n0": "RUNNING"}}),
    ("b", {"phase": "NOT_FOUND"}),
    ("b", {"phase": "FAILED"}),  # it never was
    ("b", {"phase": "SUCCEEDED", "nodes": {"n1": "QUEUED"}}),  # no one prefix
    ("b", {"nodes": {"n7": "QUEUED"}}),
    ("b", {"sequence": 99}),
    ("b", {"phase": "RUNNING", "outputs": {"o0": 7}}),  # outputs before the end
    ("b", {"outputs": {"o0": 8}}),
]


@pytest.mark.parametrize(("client", "saw"), READS, ids=str)
def test_a_read_that_no_prefix_explains_is_found(
    told: Told, client: str, saw: dict[str, Any]
) -> None:
    """Stale for its reader, mixed from two moments, or made up."""
    told.read(client, **saw)
    (found, *_) = check(told.events, told.journal.entries())
    assert f"{client} saw {saw}" in found


def test_a_read_before_its_cause_is_found(told: Told) -> None:
    """Nobody sees an execution that was asked for only later."""
    entries = told.journal.entries()
    entries[0]["saw"] = {"phase": "RUNNING"}
    (found,) = check(told.events, entries)
    assert "no prefix of range(0, 1) events" in found


def test_who_was_told_sees_it(tmp_path: Path) -> None:
    """After an acknowledgement the command's effect shows to the one who was told."""
    told = Told(tmp_path)
    with told.journal.sending("a", "create", "CreateExecution", STREAM):
        pass
    told.read("b", phase="NOT_FOUND")
    assert check(told.events, told.journal.entries()) == []
    told.read("a", phase="NOT_FOUND")
    assert len(check(told.events, told.journal.entries())) == 1


def test_a_second_creation_is_refused_or_a_lie(told: Told) -> None:
    """One of two clients created it; the other one is told that it exists."""
    for client, answer, words in (("b", "refused", ""), ("c", "done", "each of")):
        told.journal.sent(client, client, "CreateExecution", STREAM)
        detail = "ALREADY_EXISTS" if answer == "refused" else ""
        told.journal.told(client, client, answer, detail)
        found = check(told.events, told.journal.entries())
        assert words in "".join(found) if words else found == []


def test_a_lost_answer_may_mean_either(told: Told) -> None:
    """A command of unknown outcome has its effect once, or not at all."""
    with pytest.raises(FlyteTimeout), told.journal.sending(
        "b", "b1", "TerminateExecution", STREAM
    ):  # fmt: skip
        raise FlyteTimeout("late")
    assert told.journal.entries()[-1]["answer"] == "unknown"
    assert check(told.events, told.journal.entries()) == []


def test_a_refused_command_has_no_effect(told: Told) -> None:
    """An abort that was refused and happened all the same is a lie."""
    told.journal.sent("b", "b1", "TerminateExecution", STREAM)
    told.journal.told("b", "b1", "refused", "FAILED_PRECONDITION")
    assert check(told.events, told.journal.entries()) == []
    data = {"occurred_at_us": 1, "cause": "", "principal": ""}
    kind = "flightlog.v1.ExecutionAborting"
    _renumbered(told.events, len(told.events) - 1, [line(STREAM, 0, kind, data, "x")])
    found = check(told.events, told.journal.entries())
    assert any("0 TerminateExecution" in what for what in found), found


def _signals(told: Told, count: int) -> None:
    data = {"occurred_at_us": 1, "signal_id": "s", "value": "", "principal": ""}
    more = [
        line(STREAM, 0, "flightlog.v1.SignalSet", data, f"command {number}")
        for number in range(count)
    ]
    _renumbered(told.events, told.events.index(_first(told, "step 3")), more)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_each_signal_is_set_once(told: Told, count: int) -> None:
    """One signal was set and acknowledged: there is one event, not none or two."""
    told.journal.sent("b", "b1", "SetSignal", STREAM, fields={"signal_id": "s"})
    told.journal.told("b", "b1", "done")
    _signals(told, count)
    entries = [e for e in told.journal.entries() if "sequence" not in e.get("saw", {})]
    assert (check(told.events, entries) == []) == (count == 1)


def test_published_commands_are_known_by_their_id(told: Told) -> None:
    """Who publishes on Kafka chose the id: it is the cause of the events."""
    told.now = 0.5
    told.journal.sent("s", "step 3", "SomeReport", STREAM)
    told.journal.told("s", "step 3", "done")
    assert check(told.events, told.journal.entries()) == []
    told.journal.sent("s", "other", "SomeReport", STREAM)
    told.journal.told("s", "other", "done")
    (found,) = check(told.events, told.journal.entries())
    assert "SomeReport other was acknowledged, but has no effect" in found


def _answered(told: Told, command: str) -> None:
    message = CommandRejected(
        command_id=command, command_type="SomeReport", reason="NOT_FOUND", detail=""
    )
    kind, data = codec.type_name(message), codec.to_json(message)
    told.events.append(
        line(STREAM, 0, kind, data, command) | {"id": f"{command}/outcome"}
    )


def test_the_logs_answer_is_the_clients(told: Told) -> None:
    """What the log rejects isn't acknowledged; what was refused has no events."""
    _answered(told, "x")
    told.now = 0.5
    told.journal.sent("s", "x", "SomeReport", STREAM)
    told.journal.told("s", "x", "done")
    told.journal.sent("s", "step 3", "SomeReport", STREAM)
    told.journal.told("s", "step 3", "refused")
    found = check(told.events, told.journal.entries())
    first = _first(told, "step 3")["id"]
    assert [what.split(": ")[1] for what in found] == [
        "SomeReport x was acknowledged, but the log rejected it",
        f"SomeReport step 3 was refused, but has the effect {first}",
    ]


def _first(told: Told, cause: str) -> dict[str, Any]:
    return next(e for e in told.events if e["causation"] == cause)


def _family() -> tuple[Events, Events]:
    parent = Engine(definition([launch_plan_node("n1")], "n1"), created())
    parent.begin()
    child = Engine(definition([task_node("n0")], "n0"), created())
    child.begin()
    (asked,) = [e for e in parent.events if isinstance(e, ne.ChildRequested)]
    exists = ne.ChildCreated(
        occurred_at_us=1, node_id="n1", attempt=0, child=asked.child
    )
    parent.events.append(exists)
    name = f"execution/{asked.child.text()}"
    events = printed(child, name)
    link = {"stream": STREAM, "node_id": "n1", "attempt": 0}
    events[0]["data"] |= {"parent": link}
    return printed(parent, STREAM), events


def test_children_are_asked_for_once() -> None:
    """A child that is lost, or has another parent, or was asked for twice."""
    parent, child = _family()
    assert check([*parent, *child], []) == []
    (found,) = check(parent, [])
    assert "has no events" in found
    (found,) = check(child, [])
    assert "didn't ask for it" in found
    asked = copy.deepcopy(next(e for e in parent if "ChildRequested" in e["type"]))
    asked["causation"] = "again"
    _renumbered(parent, len(parent), [asked])
    (found,) = check([*parent, *child], [])
    assert "was asked for by" in found


def test_values_are_read_as_flyte_writes_them() -> None:
    """Numbers, text, lists and maps, whatever their sign or size."""
    wanted: dict[str, Any] = {
        "i": -3, "big": 1 << 40, "f": 0.5, "s": "ü", "t": True, "no": False, "zero": 0,
        "xs": [1, [2]], "m": {"k": "v"}, "empty": [],
    }  # fmt: skip
    message = literals_pb2.LiteralMap(
        literals={name: _literal(value) for name, value in wanted.items()}
    )
    message.literals["none"].scalar.none_type.SetInParent()
    message.literals["union"].scalar.union.value.CopyFrom(_literal(4))
    message.literals["blob"].scalar.blob.uri = "s3://"
    found = literal_map(message.SerializeToString())
    assert isinstance(found.pop("blob"), str)
    assert found == wanted | {"none": None, "union": 4}


def _literal(value: Any) -> literals_pb2.Literal:
    found = literals_pb2.Literal()
    if isinstance(value, list):
        found.collection.SetInParent()
        found.collection.literals.extend(_literal(item) for item in value)
    elif isinstance(value, dict):
        for name, item in value.items():
            found.map.literals[name].CopyFrom(_literal(item))
    else:
        names = {bool: "boolean", int: "integer", float: "float_value"}
        name = names.get(type(value), "string_value")
        setattr(found.scalar.primitive, name, value)
    return found
