"""Signals: what may be asked for and set, and gates that end at once (ref §5.6)."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import types_pb2

from domain.execution.outcomes.signals import type_of
from schemas.messages import commands as c
from schemas.messages.rejections import Reason, Rejected
from schemas.values import ErrorKind
from tests.support.engine import Engine, created, names
from tests.support.graphs import INT, definition, gate_node, task_node

TEXT = types_pb2.LiteralType(simple=types_pb2.STRING)


def begun(*nodes: Any, output: str = "n0", fail_late: bool = False) -> Engine:
    """Return an execution of these nodes, begun."""
    engine = Engine(definition(nodes, output, fail_late=fail_late), created())
    engine.begin()
    return engine


def request(kind: Any, signal_id: str = "s") -> c.RequestSignal:
    """Return the request of a signal of a type."""
    return c.RequestSignal(signal_id=signal_id, type=kind.SerializeToString())


def test_a_client_may_ask_for_a_signal_before_its_gate_does() -> None:
    """It is known from then on; asking again adds nothing."""
    engine = begun(task_node("n0"), gate_node("n1", "n0", signal="s"), output="n1")

    assert names(engine.do(request(INT))) == ["SignalRequested"]
    assert engine.do(request(INT)) == []
    assert names(engine.succeed("n0"))[-1] == "NodeStarted"
    assert engine.phase("n1") == "RUNNING"


@pytest.mark.parametrize(
    "command",
    [
        request(INT, signal_id=""),
        request(types_pb2.LiteralType()),
        c.RequestSignal(signal_id="s", type=b"\xff"),
    ],
    ids=["no id", "no type", "other bytes"],
)
def test_a_signal_has_an_id_and_a_type(command: c.RequestSignal) -> None:
    """Nothing could be set otherwise."""
    refused = begun(task_node("n0")).decide(command)

    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.INVALID_ARGUMENT
    assert "a signal with an id and a type" in refused.detail


def test_a_value_must_be_a_literal() -> None:
    """Bytes that are none are refused, not stored."""
    engine = begun(gate_node("n0", signal="s"))
    refused = engine.decide(c.SetSignal(signal_id="s", value=b"\xff"))

    assert isinstance(refused, Rejected)
    assert refused.detail == "Expected signal 's' to get a Literal, but got other bytes"


def test_a_gate_fails_if_its_signal_is_known_with_another_type() -> None:
    """Its value could not be the gate's output: that is an error of the workflow."""
    engine = begun(task_node("n0"), gate_node("n1", "n0", signal="s"), output="n1")
    engine.do(request(TEXT))
    engine.succeed("n0")

    failure = engine.state.failure
    assert failure is not None
    assert (failure.code, failure.kind) == ("SignalTypeMismatch", ErrorKind.USER)
    assert "Expected signal 's' to be asked for with one type" in failure.message


def test_a_sleep_of_no_time_ends_at_once() -> None:
    """There is no timer to wait for."""
    gate = gate_node("n0")
    gate.gate_node.sleep.duration.Clear()
    engine = begun(gate, task_node("n1", after=["n0"]), output="n1")

    assert engine.phase("n0") == "SUCCEEDED"
    assert engine.run_of("n1").node_id == "n1"


def test_the_type_of_a_signal_is_read_from_bytes() -> None:
    """None stands for bytes without one."""
    assert type_of(INT.SerializeToString()) == INT
    assert type_of(b"") is None
    assert type_of(b"\xff") is None
