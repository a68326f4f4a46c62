"""SignalService: what gates wait for, and how people answer (ref §5.6)."""

from __future__ import annotations

from typing import Any

from flyteidl.admin import signal_pb2
from flyteidl.service import signal_pb2_grpc

from domain.execution.outcomes.signals import violation
from gateway.executions.lookup import execution_ref, find_execution
from gateway.rpc.caller import actor
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import accepted, guarded, invalid, missing
from projections.queries import executions
from projections.rows import SignalRow
from schemas.ids import ExecutionRef, execution_of, execution_stream
from schemas.messages.commands import RequestSignal, SetSignal
from schemas.phases import TERMINAL_EXECUTION, ExecutionPhase

VALUE_BYTES_MAX = 2**18
"""A signal's value travels inside its event; larger things are blobs by their uri."""


@guarded
class Signals(signal_pb2_grpc.SignalServiceServicer):  # type: ignore[misc]
    """flyteidl.service.SignalService."""

    def __init__(self, services: Services) -> None:
        """Serve with these adapters."""
        self.services = services

    async def GetOrCreateSignal(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return a signal; one that no gate waits for yet can be set from now on."""
        ref, signal_id = _signal_ref(request.id)
        await find_execution(self.services, ref)
        data = request.type.SerializeToString(deterministic=True)
        row = await executions.get_signal(self.services.pool, ref, signal_id)
        if row is None or row.type != data:
            command = RequestSignal(signal_id=signal_id, type=data)
            await self._submit(ref, command, context)
            row = await executions.get_signal(self.services.pool, ref, signal_id)
        if row is None:
            raise missing("SIGNAL", f"{ref.text()}/{signal_id}")
        return _signal(row)

    async def ListSignals(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the signals that gates of an execution wait for, or have waited."""
        ref = execution_ref(request.workflow_execution_id)
        page = page_of(request)
        rows = accepted(await executions.list_signals(self.services.pool, ref, page))
        return signal_pb2.SignalList(
            signals=[_signal(row) for row in rows], token=next_token(page, rows)
        )

    async def SetSignal(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Give a signal its value; what waits for it goes on."""
        ref, signal_id = _signal_ref(request.id)
        if not request.HasField("value"):
            raise invalid("Expected a value, but there is none")
        value = request.value.SerializeToString(deterministic=True)
        if len(value) > VALUE_BYTES_MAX:
            found = f"it has {len(value)}"
            raise invalid(f"Expected at most {VALUE_BYTES_MAX} bytes, but {found}")
        execution = await find_execution(self.services, ref)
        if ExecutionPhase(execution.phase) in TERMINAL_EXECUTION:
            await self._check_ended(ref, signal_id, value)
        command = SetSignal(signal_id=signal_id, value=value, principal=actor(context))
        await self._submit(ref, command, context)
        return signal_pb2.SignalSetResponse()

    async def _check_ended(
        self, ref: ExecutionRef, signal_id: str, value: bytes
    ) -> None:
        """Refuse what would have been refused: an ended execution takes the rest."""
        row = await executions.get_signal(self.services.pool, ref, signal_id)
        if row is None:
            name = ref.text()
            raise invalid(
                f"Expected execution '{name}' to have waited for signal "
                f"'{signal_id}', but it ended without"
            )
        wrong = violation(signal_id, value, row.type)
        if wrong:
            raise invalid(wrong)

    async def _submit(self, ref: ExecutionRef, command: Any, context: Any) -> None:
        await self.services.submit(
            execution_stream(ref),
            command,
            actor=actor(context),
            now_us=self.services.clock.now_us(),
        )


def _signal_ref(identifier: Any) -> tuple[ExecutionRef, str]:
    """Return execution and id of a core.SignalIdentifier; raises Refused."""
    ref = execution_ref(identifier.execution_id)
    if not identifier.signal_id:
        raise invalid("Expected a signal id, but it is empty")
    return ref, identifier.signal_id


def _signal(row: SignalRow) -> Any:
    signal = signal_pb2.Signal()
    ref = execution_of(row.stream)
    signal.id.signal_id = row.signal_id
    signal.id.execution_id.project = ref.project
    signal.id.execution_id.domain = ref.domain
    signal.id.execution_id.name = ref.name
    signal.type.ParseFromString(row.type)
    if row.value is not None:
        signal.value.ParseFromString(row.value)
    return signal
