"""The audit: a log as engines write it passes, and each kind of damage is found."""

from __future__ import annotations

from msgspec.structs import asdict, replace

from infra.eventlog.contract import Received
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.values import NO_VALUES
from tests.support.engine import STREAM, Engine, created
from tests.support.graphs import definition, task_node
from tests.support.memory_log import event_records
from workers.operations.audit import Audit
from workers.propeller.stream_kinds import STREAM_KINDS


def run(*, ended: bool = True) -> list[e.ExecutionEvent]:
    """Return the events of a chain of two tasks."""
    nodes = [task_node("n0"), task_node("n1", "n0")]
    engine = Engine(definition(nodes, "n1"), created())
    engine.begin()
    engine.succeed("n0")
    if ended:
        engine.succeed("n1")
    return list(engine.events)


def on_log(events: list[e.ExecutionEvent], stream: str = STREAM) -> list[Received]:
    """Return events as they are read."""
    return [
        Received(**asdict(record) | {"partition": 0, "position": number})
        for number, record in enumerate(event_records(stream, events), 1)
    ]


def found(records: list[Received]) -> list[str]:
    """Return what the audit says of these messages."""
    audit = Audit(STREAM_KINDS)
    findings = [f for r in records for f in audit.take(r)]
    return [f.what for f in (*findings, *audit.end())]


def test_what_an_engine_wrote_passes() -> None:
    """There is nothing to find in a log without damage."""
    assert found(on_log(run())) == []
    assert found(on_log(run(ended=False))) == []


def test_a_gap_and_a_repeat_are_found() -> None:
    """Sequences have neither."""
    records = on_log(run())
    assert any(
        "Expected sequence 3" in what for what in found(records[:2] + records[3:])
    )
    twice = [*records[:2], records[1], *records[2:]]
    assert any("Expected sequence 3, but it is 2" in what for what in found(twice))


def test_a_event_after_the_end_is_found() -> None:
    """An execution ends once."""
    events = run()
    assert found(on_log([*events, events[-1]])) == [
        "Expected nothing after SUCCEEDED, but ExecutionSucceeded follows"
    ]


def test_an_illegal_move_is_found() -> None:
    """Phases move as the machines say, and nothing is left running at the end."""
    events = run(ended=False)
    events.append(e.ExecutionSucceeded(occurred_at_us=1, outputs=NO_VALUES))
    said = found(on_log(events))
    assert (
        "Expected no transition of the execution RUNNING → SUCCEEDED, but there is one"
        in said
    )
    assert any("Expected every node to have ended" in what for what in said)


def test_a_event_of_an_unknown_node_is_found() -> None:
    """Events follow from each other."""
    events = [*run(ended=False), ne.NodeStarted(occurred_at_us=1, node_id="n9")]
    assert any("names an unknown 'n9'" in what for what in found(on_log(events)))


def test_a_child_without_events_is_found() -> None:
    """Parents and children agree."""
    events = run(ended=False)
    child = replace(created().execution, name="child")
    events.append(
        ne.ChildCreated(occurred_at_us=1, node_id="n1", attempt=0, child=child)
    )
    assert found(on_log(events)) == [
        f"Expected the child execution/{child.text()}, but it has no events"
    ]


def test_damaged_bytes_are_found() -> None:
    """What no version can read is told, and the audit goes on."""
    records = on_log(run())
    records[1] = replace(records[1], body=b"garbage")
    assert "Expected Avro" in found(records)[0]
