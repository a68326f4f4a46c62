"""Signals over a real channel: asked for, listed, set, refused (ref §5.6)."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from flyteidl.admin import signal_pb2
from flyteidl.core import identifier_pb2, literals_pb2
from flyteidl.service import signal_pb2_grpc
from msgspec.structs import replace

from domain.text_limits import SIGNAL_VALUE_BYTES_MAX
from infra.eventlog.contract import Received
from projections.rows import Outcome
from schemas.ids import ExecutionRef, execution_stream
from schemas.messages import commands as c
from tests.integration.conftest import accept, answering, refused, reject
from tests.integration.test_archiving import forget_positions
from tests.support.engine import Engine, created
from tests.support.graphs import INT, definition, gate_node, integer
from tests.support.harness.gateway_harness import RunningGateway
from tests.support.harness.read_models import ReadModels

pytestmark = pytest.mark.integration

WAITS = ExecutionRef(project="p", domain="d", name="waits")
ENDED = ExecutionRef(project="p", domain="d", name="waited")
INVALID = grpc.StatusCode.INVALID_ARGUMENT


def _id(ref: ExecutionRef, signal_id: str = "s") -> Any:
    execution = identifier_pb2.WorkflowExecutionIdentifier(
        project=ref.project, domain=ref.domain, name=ref.name
    )
    return identifier_pb2.SignalIdentifier(signal_id=signal_id, execution_id=execution)


def _set(ref: ExecutionRef, value: Any = None, signal_id: str = "s") -> Any:
    return signal_pb2.SignalSetRequest(
        id=_id(ref, signal_id), value=integer(7) if value is None else value
    )


@pytest.fixture(scope="module")
def signals(gateway: RunningGateway, channel: grpc.Channel) -> Any:
    """Return a stub, with an execution that waits for `s`, and one that has ended."""
    gateway.run(forget_positions(gateway))
    read_models = ReadModels(gateway.services.pool)
    for ref in (WAITS, ENDED):
        first = replace(created(), execution=ref)
        gate = gate_node("n0", signal="s")
        engine = Engine(definition([gate], "n0"), first)
        engine.begin()
        if ref is ENDED:
            value = integer(1).SerializeToString()
            engine.do(c.SetSignal(signal_id="s", value=value))
        gateway.run(read_models.given(execution_stream(ref), *engine.events))
    gateway.run(forget_positions(gateway))
    return signal_pb2_grpc.SignalServiceStub(channel)


def test_a_signal_that_is_waited_for_is_found(signals: Any) -> None:
    """No command is needed: the gate has asked for it."""
    request = signal_pb2.SignalGetOrCreateRequest(id=_id(WAITS), type=INT)
    found = signals.GetOrCreateSignal(request)

    assert found.id == _id(WAITS)
    assert found.type == INT
    assert not found.HasField("value")


def test_signals_are_listed_with_their_values(signals: Any) -> None:
    """By execution; filters hold for their ids."""
    request = signal_pb2.SignalListRequest(
        workflow_execution_id=_id(ENDED).execution_id, limit=5
    )
    (found,) = signals.ListSignals(request).signals
    assert found.value == integer(1)

    request.filters = "eq(signal_id,other)"
    assert not signals.ListSignals(request).signals
    request.filters = "eq(nothing,1)"
    with refused(INVALID):
        signals.ListSignals(request)


def test_a_signal_nobody_waits_for_yet_is_asked_for(
    gateway: RunningGateway, signals: Any
) -> None:
    """The execution is told its type; until the read model has it, it is missing."""
    request = signal_pb2.SignalGetOrCreateRequest(id=_id(WAITS, "new"), type=INT)
    missing = refused(grpc.StatusCode.NOT_FOUND, "type SIGNAL with identifier p/d/wai")
    with answering(gateway, accept) as commands, missing:
        signals.GetOrCreateSignal(request)

    assert commands == [c.RequestSignal(signal_id="new", type=INT.SerializeToString())]


def test_a_signal_of_another_type_is_refused(
    gateway: RunningGateway, signals: Any
) -> None:
    """The execution decides: the gateway asks it, and hands on why not."""

    def known(received: Received) -> Outcome:
        return reject(received, "ALREADY_EXISTS", "it is an integer")

    request = signal_pb2.SignalGetOrCreateRequest(id=_id(WAITS))
    request.type.simple = 3
    already = refused(grpc.StatusCode.ALREADY_EXISTS, "it is an integer")
    with answering(gateway, known), already:
        signals.GetOrCreateSignal(request)


def test_setting_a_signal_becomes_a_command(
    gateway: RunningGateway, signals: Any
) -> None:
    """With the value's bytes; gates resume once it is handled."""
    with answering(gateway, accept) as commands:
        signals.SetSignal(_set(WAITS))

    (command,) = commands
    assert isinstance(command, c.SetSignal)
    assert (command.signal_id, command.value) == ("s", integer(7).SerializeToString())


def test_a_signal_may_be_set_after_the_end(
    gateway: RunningGateway, signals: Any
) -> None:
    """As in Flyte; but only one that was waited for, to a value of its type."""
    with answering(gateway, accept) as commands:
        signals.SetSignal(_set(ENDED))
    assert len(commands) == 1
    text = literals_pb2.Literal()
    text.scalar.primitive.string_value = "x"
    with refused(INVALID, "Expected signal 's' to get integer"):
        signals.SetSignal(_set(ENDED, text))
    with refused(INVALID, "to have waited for signal 'other'"):
        signals.SetSignal(_set(ENDED, signal_id="other"))


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (_set(WAITS, signal_id=""), "Expected a signal id"),
        (signal_pb2.SignalSetRequest(id=_id(WAITS)), "Expected a value"),
        (
            _set(
                WAITS,
                literals_pb2.Literal(hash="x" * SIGNAL_VALUE_BYTES_MAX, scalar={}),
            ),
            f"at most {SIGNAL_VALUE_BYTES_MAX} bytes",
        ),
    ],
)
def test_what_cannot_be_a_signal_is_refused(
    signals: Any, request_: Any, text: str
) -> None:
    """Before any command is appended."""
    with refused(INVALID, text):
        signals.SetSignal(request_)


def test_a_signal_belongs_to_an_execution(signals: Any) -> None:
    """One of an execution that doesn't exist can't be set or asked for."""
    ref = replace(WAITS, name="nowhere")
    with refused(grpc.StatusCode.NOT_FOUND, "p/d/nowhere"):
        signals.SetSignal(_set(ref))
    request = signal_pb2.SignalGetOrCreateRequest(id=_id(ref), type=INT)
    with refused(grpc.StatusCode.NOT_FOUND, "p/d/nowhere"):
        signals.GetOrCreateSignal(request)
