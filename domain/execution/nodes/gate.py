"""Gates: wait for a time, for a value, or for somebody's yes (ref §5.6)."""

from __future__ import annotations

from typing import Any

from flyteidl.core import literals_pb2, types_pb2

from domain.execution.decision import Step
from domain.execution.nodes import time_limits
from domain.execution.outcomes.completion import fail_node, succeed_node
from domain.execution.state.state import Node
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.phases import NodePhase
from schemas.values import NO_VALUES, Failure, Values

_BOOLEAN = types_pb2.LiteralType(simple=types_pb2.BOOLEAN)


def enter(step: Step, node_id: str, _inputs: Values) -> None:
    """Begin to wait; a signal that is set already is taken at once."""
    step.emit(ne.NodeStarted(occurred_at_us=step.now_us, node_id=node_id))
    gate = _spec(step, step.node(node_id))
    if gate.WhichOneof("condition") == "sleep":
        _sleep(step, node_id, gate.sleep.duration.ToMicroseconds())
    else:
        _wait(step, node_id, *_awaited(gate))


def signal_requested(step: Step, command: c.RequestSignal) -> None:
    """Note a signal that a client asks for; one that is known is no news."""
    if command.signal_id not in step.state.signals:
        step.emit(
            e.SignalRequested(
                occurred_at_us=step.now_us,
                node_id="",
                signal_id=command.signal_id,
                type=command.type,
            )
        )


def signal_set(step: Step, command: c.SetSignal) -> None:
    """Note a signal's value, and let go on what waits for it."""
    if step.state.signals[command.signal_id].value == command.value:
        return
    step.emit(
        e.SignalSet(
            occurred_at_us=step.now_us,
            signal_id=command.signal_id,
            value=command.value,
            principal=command.principal,
        )
    )
    for node_id in sorted(step.state.active):
        if node_id in step.state.active and _waits_for(
            step, step.node(node_id), command.signal_id
        ):
            _answer(step, node_id, command.value)


def woken(step: Step, node: Node) -> bool:
    """End a sleep that is over; tell whether the node is a sleep."""
    if not node.wakes_at_us:
        return False
    if not node.is_terminal and node.wakes_at_us <= step.now_us:
        succeed_node(step, node.site.node_id, NO_VALUES)
    return True


def _spec(step: Step, node: Node) -> Any:
    return step.graph_node(node).spec.gate_node


def _awaited(gate: Any) -> tuple[str, Any]:
    """Return id and type of the signal that a gate waits for."""
    if gate.WhichOneof("condition") == "approve":
        return gate.approve.signal_id, _BOOLEAN
    return gate.signal.signal_id, gate.signal.type


def _sleep(step: Step, node_id: str, duration_us: int) -> None:
    """Sleep; its duration is its time limit, whatever else the node says."""
    if duration_us <= 0:
        succeed_node(step, node_id, NO_VALUES)
        return
    step.emit(
        ne.GateSleeping(
            occurred_at_us=step.now_us,
            node_id=node_id,
            wakes_at_us=step.now_us + duration_us,
        )
    )


def _wait(step: Step, node_id: str, signal_id: str, wanted: Any) -> None:
    known = step.state.signals.get(signal_id)
    if known is None:
        step.emit(
            e.SignalRequested(
                occurred_at_us=step.now_us,
                node_id=node_id,
                signal_id=signal_id,
                type=wanted.SerializeToString(deterministic=True),
            )
        )
    elif types_pb2.LiteralType.FromString(known.type) != wanted:
        message = (
            f"Expected signal '{signal_id}' to be asked for with one type, "
            "but it is known with another"
        )
        fail_node(
            step,
            node_id,
            Failure(code="SignalTypeMismatch", message=message, kind="USER"),
        )
        return
    elif known.value is not None:
        _answer(step, node_id, known.value)
        return
    time_limits.begin(step, node_id)


def _waits_for(step: Step, node: Node, signal_id: str) -> bool:
    if node.site.kind != "gate" or node.phase is not NodePhase.RUNNING:
        return False
    gate = _spec(step, node)
    is_sleep = gate.WhichOneof("condition") == "sleep"
    return not is_sleep and _awaited(gate)[0] == signal_id


def _answer(step: Step, node_id: str, value: bytes) -> None:
    """End a gate with the value of its signal."""
    node = step.node(node_id)
    gate = _spec(step, node)
    literal = literals_pb2.Literal.FromString(value)
    if gate.WhichOneof("condition") == "signal":
        name = gate.signal.output_variable_name
        outputs = literals_pb2.LiteralMap(literals={name: literal})
        data = outputs.SerializeToString(deterministic=True)
        succeed_node(step, node_id, Values(inline=data))
    elif literal.scalar.primitive.boolean:
        succeed_node(step, node_id, node.inputs or NO_VALUES)
    else:
        message = f"Expected signal '{gate.approve.signal_id}' to approve, but"
        rejected = f"{message} it was rejected"
        failure = Failure(code="ReceivedRejectSignal", message=rejected, kind="USER")
        fail_node(step, node_id, failure)
