"""Gates: wait for a time, for a value, or for an approval (ref §5.6)."""

from __future__ import annotations

from flyteidl.core import literals_pb2, types_pb2, workflow_pb2

from domain.execution.decision import Decision
from domain.execution.nodes import time_limits
from domain.execution.outcomes.completion import fail_node, succeed_node
from domain.execution.state.node import Node
from domain.execution.view import ExecutionView
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.phases import NodePhase
from schemas.sites import NodeKind
from schemas.values import NO_VALUES, ErrorKind, Failure, Values

_BOOLEAN = types_pb2.LiteralType(simple=types_pb2.BOOLEAN)


def enter(decision: Decision, node_id: str, _inputs: Values) -> None:
    """Begin to wait; a signal that is already set ends the gate at once."""
    decision.emit(ne.NodeStarted(occurred_at_us=decision.now_us, node_id=node_id))
    gate = _spec(decision, decision.node(node_id))
    if gate.WhichOneof("condition") == "sleep":
        _sleep(decision, node_id, gate.sleep.duration.ToMicroseconds())
    else:
        _wait(decision, node_id, *_awaited(gate))


def signal_requested(decision: Decision, command: c.RequestSignal) -> None:
    """Add a signal that a client requests, unless it is known."""
    if command.signal_id not in decision.state.signals:
        decision.emit(
            e.SignalRequested(
                occurred_at_us=decision.now_us,
                node_id="",
                signal_id=command.signal_id,
                type=command.type,
            )
        )


def signal_set(decision: Decision, command: c.SetSignal) -> None:
    """Set a signal's value, and end the gates that wait for it."""
    if decision.state.signals[command.signal_id].value == command.value:
        return
    decision.emit(
        e.SignalSet(
            occurred_at_us=decision.now_us,
            signal_id=command.signal_id,
            value=command.value,
            principal=command.principal,
        )
    )
    for node_id in sorted(decision.state.active):
        if node_id in decision.state.active and _waits_for(
            decision, decision.node(node_id), command.signal_id
        ):
            _answer(decision, node_id, command.value)


def end_sleep(decision: Decision, node: Node) -> None:
    """End a sleep that is over."""
    succeed_node(decision, node.site.node_id, NO_VALUES)


def _spec(view: ExecutionView, node: Node) -> workflow_pb2.GateNode:
    gate: workflow_pb2.GateNode = view.graph_node(node.site).spec.gate_node
    return gate


def _awaited(gate: workflow_pb2.GateNode) -> tuple[str, types_pb2.LiteralType]:
    """Return id and type of the signal that a gate waits for."""
    if gate.WhichOneof("condition") == "approve":
        return gate.approve.signal_id, _BOOLEAN
    return gate.signal.signal_id, gate.signal.type


def _sleep(decision: Decision, node_id: str, duration_us: int) -> None:
    """Begin to sleep; no other time limit holds for the node."""
    if duration_us <= 0:
        succeed_node(decision, node_id, NO_VALUES)
        return
    decision.emit(
        ne.GateSleeping(
            occurred_at_us=decision.now_us,
            node_id=node_id,
            wakes_at_us=decision.now_us + duration_us,
        )
    )


def _wait(
    decision: Decision, node_id: str, signal_id: str, wanted: types_pb2.LiteralType
) -> None:
    known = decision.state.signals.get(signal_id)
    if known is None:
        decision.emit(
            e.SignalRequested(
                occurred_at_us=decision.now_us,
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
        kind = ErrorKind.USER
        failure = Failure(code="SignalTypeMismatch", message=message, kind=kind)
        fail_node(decision, node_id, failure)
        return
    elif known.value is not None:
        _answer(decision, node_id, known.value)
        return
    time_limits.begin(decision, node_id)


def _waits_for(view: ExecutionView, node: Node, signal_id: str) -> bool:
    if node.site.kind is not NodeKind.GATE or node.phase is not NodePhase.RUNNING:
        return False
    gate = _spec(view, node)
    is_sleep = gate.WhichOneof("condition") == "sleep"
    return not is_sleep and _awaited(gate)[0] == signal_id


def _answer(decision: Decision, node_id: str, value: bytes) -> None:
    """End a gate with the value of its signal."""
    node = decision.node(node_id)
    gate = _spec(decision, node)
    literal = literals_pb2.Literal.FromString(value)
    if gate.WhichOneof("condition") == "signal":
        name = gate.signal.output_variable_name
        outputs = literals_pb2.LiteralMap(literals={name: literal})
        data = outputs.SerializeToString(deterministic=True)
        succeed_node(decision, node_id, Values(inline=data))
    elif literal.scalar.primitive.boolean:
        succeed_node(decision, node_id, node.inputs or NO_VALUES)
    else:
        signal_id = gate.approve.signal_id
        message = f"Expected signal '{signal_id}' to approve, but it was rejected"
        kind = ErrorKind.USER
        failure = Failure(code="ReceivedRejectSignal", message=message, kind=kind)
        fail_node(decision, node_id, failure)
