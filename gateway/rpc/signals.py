"""SignalService: the signals that gates wait for (ref §5.6)."""

from __future__ import annotations

from flyteidl.admin import signal_pb2
from flyteidl.core import identifier_pb2
from flyteidl.service import signal_pb2_grpc

from domain import text_limits
from domain.execution.outcomes.signals import violation
from gateway.executions.lookup import execution_ref, find_execution
from gateway.rpc.caller import actor
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import accepted, guarded, invalid, missing
from gateway.services.handlers import CallContext
from gateway.translate.identifiers import to_execution_id
from projections.queries import executions
from projections.rows import SignalRow
from schemas.ids import ExecutionRef, execution_of, execution_stream
from schemas.messages import commands
from schemas.phases import TERMINAL_EXECUTION, ExecutionPhase


@guarded
class Signals(signal_pb2_grpc.SignalServiceServicer):
    """flyteidl.service.SignalService."""

    def __init__(self, services: Services) -> None:
        """Serve with these adapters."""
        self.services = services

    async def GetOrCreateSignal(
        self, request: signal_pb2.SignalGetOrCreateRequest, context: CallContext
    ) -> signal_pb2.Signal:
        """Return a signal; one that no gate waits for yet can be set from now on."""
        ref, signal_id = _signal_ref(request.id)
        data = request.type.SerializeToString(deterministic=True)
        command = commands.RequestSignal(signal_id=signal_id, type=data)
        _check_lengths(command)
        await find_execution(self.services, ref)
        row = await executions.get_signal(self.services.pool, ref, signal_id)
        if row is None or row.type != data:
            await self._submit(ref, command, context)
            row = await executions.get_signal(self.services.pool, ref, signal_id)
        if row is None:
            raise missing("SIGNAL", f"{ref.text()}/{signal_id}")
        return _signal(row)

    async def ListSignals(
        self, request: signal_pb2.SignalListRequest, _context: CallContext
    ) -> signal_pb2.SignalList:
        """Return the signals of an execution that gates have waited for."""
        ref = execution_ref(request.workflow_execution_id)
        page = page_of(request)
        rows = accepted(await executions.list_signals(self.services.pool, ref, page))
        return signal_pb2.SignalList(
            signals=[_signal(row) for row in rows], token=next_token(page, rows)
        )

    async def SetSignal(
        self, request: signal_pb2.SignalSetRequest, context: CallContext
    ) -> signal_pb2.SignalSetResponse:
        """Set a signal's value; gates that wait for it resume."""
        ref, signal_id = _signal_ref(request.id)
        if not request.HasField("value"):
            raise invalid("Expected a value, but there is none")
        value = request.value.SerializeToString(deterministic=True)
        command = commands.SetSignal(
            signal_id=signal_id, value=value, principal=actor(context)
        )
        _check_lengths(command)
        execution = await find_execution(self.services, ref)
        if ExecutionPhase(execution.phase) in TERMINAL_EXECUTION:
            await self._check_ended(ref, signal_id, value)
        await self._submit(ref, command, context)
        return signal_pb2.SignalSetResponse()

    async def _check_ended(
        self, ref: ExecutionRef, signal_id: str, value: bytes
    ) -> None:
        """Refuse what the propeller would have refused before the execution ended."""
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

    async def _submit(
        self,
        ref: ExecutionRef,
        command: commands.Command,
        context: CallContext,
    ) -> None:
        await self.services.submit(
            execution_stream(ref),
            command,
            actor=actor(context),
            now_us=self.services.clock.now_us(),
        )


def _check_lengths(command: commands.Command) -> None:
    """Refuse what the propeller would, also where no command is needed."""
    rejected = text_limits.rejection(command)
    if rejected is not None:
        accepted(rejected)


def _signal_ref(
    identifier: identifier_pb2.SignalIdentifier,
) -> tuple[ExecutionRef, str]:
    """Return execution and id of a signal; raises RpcError for an invalid one."""
    ref = execution_ref(identifier.execution_id)
    if not identifier.signal_id:
        raise invalid("Expected a signal id, but it is empty")
    return ref, identifier.signal_id


def _signal(row: SignalRow) -> signal_pb2.Signal:
    signal = signal_pb2.Signal()
    signal.id.signal_id = row.signal_id
    signal.id.execution_id.CopyFrom(to_execution_id(execution_of(row.stream)))
    signal.type.ParseFromString(row.type)
    if row.value is not None:
        signal.value.ParseFromString(row.value)
    return signal
