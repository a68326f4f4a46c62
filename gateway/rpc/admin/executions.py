"""AdminService: executions."""

from __future__ import annotations

from typing import Any

import grpc
from flyteidl.admin import event_pb2, execution_pb2

from domain import admission
from domain.registry import execution_states
from gateway.executions import data as values
from gateway.executions.create import create
from gateway.executions.lookup import execution_ref, find_execution
from gateway.executions.terminate import terminate
from gateway.registry.append import decide, stream_of
from gateway.rpc.caller import actor
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import RpcError, accepted, invalid, missing
from gateway.translate import executions as to_flyte
from gateway.translate import identifiers
from projections.queries import executions, registry
from projections.rows import ExecutionRow
from schemas.ids import ExecutionRef
from schemas.messages.registry_events import ExecutionStateSet

_RELAUNCH = execution_pb2.ExecutionMetadata.RELAUNCH
_RECOVERED = execution_pb2.ExecutionMetadata.RECOVERED


class ExecutionRpcs:
    """RPCs on executions."""

    services: Services

    async def CreateExecution(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Create an execution; its name is drawn where none is given (ref §2.2)."""
        if not request.HasField("spec"):
            raise invalid("Expected a spec, but there is none")
        wanted = ExecutionRef(
            project=request.project, domain=request.domain, name=request.name
        )
        inputs = request.inputs if request.inputs.literals else request.spec.inputs
        data = inputs.SerializeToString(deterministic=True)
        ref = await create(
            self.services, wanted, request.spec, data, actor=actor(context)
        )
        return execution_pb2.ExecutionCreateResponse(id=identifiers.execution_id(ref))

    async def RelaunchExecution(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Create an execution with another one's settings and inputs (ref §9)."""
        row = await find_execution(self.services, execution_ref(request.id))
        spec = admission.relaunch_spec(
            execution_pb2.ExecutionSpec.FromString(row.spec),
            overwrite_cache=request.overwrite_cache,
            mode=_RELAUNCH,
            reference=request.id,
        )
        return await self._again(row, request, spec, context)

    async def RecoverExecution(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Create an execution that runs only what hasn't succeeded yet (ref §9)."""
        original = execution_ref(request.id)
        row = await find_execution(self.services, original)
        known = execution_pb2.ExecutionSpec.FromString(row.spec)
        spec = admission.relaunch_spec(
            known,
            overwrite_cache=known.overwrite_cache,
            mode=_RECOVERED,
            reference=request.id,
        )
        if request.metadata.HasField("parent_node_execution"):
            spec.metadata.parent_node_execution.CopyFrom(
                request.metadata.parent_node_execution
            )
        return await self._again(row, request, spec, context, recovers=original)

    async def _again(
        self,
        row: ExecutionRow,
        request: Any,
        spec: Any,
        context: Any,
        *,
        recovers: ExecutionRef | None = None,
    ) -> Any:
        """Create an execution from the row of another one."""
        wanted = ExecutionRef(
            project=row.execution_project,
            domain=row.execution_domain,
            name=request.name,
        )
        ref = await create(
            self.services,
            wanted,
            spec,
            await values.load(self.services, row.user_inputs),
            actor=actor(context),
            recovers=recovers,
        )
        return execution_pb2.ExecutionCreateResponse(id=identifiers.execution_id(ref))

    async def TerminateExecution(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Abort an execution and everything that runs for it."""
        ref = execution_ref(request.id)
        try:
            await terminate(self.services, ref, request.cause, actor=actor(context))
        except RpcError as refused:
            raise await self._termination_refused(ref, refused) from refused
        return execution_pb2.ExecutionTerminateResponse()

    async def _termination_refused(
        self, ref: ExecutionRef, refused: RpcError
    ) -> RpcError:
        """Return the refusal in Flyte's words, with its reason for programs."""
        if refused.code is grpc.StatusCode.NOT_FOUND:
            return missing("EXECUTION", ref.text())
        if refused.code is not grpc.StatusCode.FAILED_PRECONDITION:
            return refused
        row = await find_execution(self.services, ref)
        reason = event_pb2.EventFailureReason()
        reason.already_in_terminal_state.current_phase = row.phase
        return RpcError(refused.code, refused.detail, reason)

    async def GetExecution(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return an execution."""
        row = await find_execution(self.services, execution_ref(request.id))
        states = await registry.execution_states(self.services.pool, [row.stream])
        return to_flyte.execution(row, state=states.get(row.stream))

    async def UpdateExecution(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Archive an execution, or bring it back (ref §2.2)."""
        ref = execution_ref(request.id)
        await find_execution(self.services, ref)
        wanted = ExecutionStateSet(
            occurred_at_us=self.services.clock.now_us(),
            execution=ref,
            state=request.state,
            principal=actor(context),
        )
        stream = stream_of("execution_state", ref.project, ref.domain, ref.name)
        await decide(
            self.services,
            stream,
            lambda known: execution_states.set_state(known, wanted),
        )
        return execution_pb2.ExecutionUpdateResponse()

    async def ListExecutions(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return executions of a project and domain, or those of one name there."""
        page, at = page_of(request), request.id
        if not at.project or not at.domain:
            raise invalid("Expected a project and a domain, but one is empty")
        rows = accepted(
            await executions.list_executions(
                self.services.pool, at.project, at.domain, page, name=at.name
            )
        )
        streams = [row.stream for row in rows]
        states = await registry.execution_states(self.services.pool, streams)
        return execution_pb2.ExecutionList(
            executions=[
                to_flyte.execution(row, in_list=True, state=states.get(row.stream))
                for row in rows
            ],
            token=next_token(page, rows),
        )

    async def GetExecutionData(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return an execution's inputs and outputs."""
        row = await find_execution(self.services, execution_ref(request.id))
        reply = execution_pb2.WorkflowExecutionGetDataResponse()
        await values.fill(self.services, reply, row.inputs, row.outputs)
        return reply
