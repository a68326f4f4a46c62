"""AdminService: executions."""

from __future__ import annotations

import grpc
from flyteidl.admin import common_pb2, event_pb2, execution_pb2

from domain.execution_specs import relaunch_spec
from domain.registry import execution_states
from gateway.executions.create import create
from gateway.executions.data import fill_reply, load_literals
from gateway.executions.lookup import execution_ref, find_execution
from gateway.executions.terminate import terminate
from gateway.registry.append import decide, stream_of
from gateway.rpc.caller import actor
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import RpcError, accepted, invalid, missing
from gateway.services.handlers import CallContext
from gateway.translate.executions import to_execution
from gateway.translate.identifiers import to_execution_id
from projections.queries import executions, registry
from projections.rows import ExecutionRow
from schemas.ids import ExecutionRef
from schemas.messages.registry_events import ExecutionStateSet

_RELAUNCH = execution_pb2.ExecutionMetadata.RELAUNCH
_RECOVERED = execution_pb2.ExecutionMetadata.RECOVERED


class ExecutionRpcs:
    """RPCs on executions."""

    services: Services

    async def CreateExecution(
        self, request: execution_pb2.ExecutionCreateRequest, context: CallContext
    ) -> execution_pb2.ExecutionCreateResponse:
        """Create an execution; its name is drawn if none is given (ref §2.2)."""
        if not request.HasField("spec"):
            raise invalid("Expected a spec, but there is none")
        requested = ExecutionRef(
            project=request.project, domain=request.domain, name=request.name
        )
        inputs = request.inputs if request.inputs.literals else request.spec.inputs
        data = inputs.SerializeToString(deterministic=True)
        ref = await create(
            self.services, requested, request.spec, data, actor=actor(context)
        )
        return execution_pb2.ExecutionCreateResponse(id=to_execution_id(ref))

    async def RelaunchExecution(
        self, request: execution_pb2.ExecutionRelaunchRequest, context: CallContext
    ) -> execution_pb2.ExecutionCreateResponse:
        """Create an execution with another one's settings and inputs (ref §9)."""
        row = await find_execution(self.services, execution_ref(request.id))
        spec = relaunch_spec(
            execution_pb2.ExecutionSpec.FromString(row.spec),
            overwrite_cache=request.overwrite_cache,
            mode=_RELAUNCH,
            reference=request.id,
        )
        return await self._create_from(row, request.name, spec, context)

    async def RecoverExecution(
        self, request: execution_pb2.ExecutionRecoverRequest, context: CallContext
    ) -> execution_pb2.ExecutionCreateResponse:
        """Create an execution that runs only what hasn't succeeded yet (ref §9)."""
        original = execution_ref(request.id)
        row = await find_execution(self.services, original)
        known = execution_pb2.ExecutionSpec.FromString(row.spec)
        spec = relaunch_spec(
            known,
            overwrite_cache=known.overwrite_cache,
            mode=_RECOVERED,
            reference=request.id,
        )
        if request.metadata.HasField("parent_node_execution"):
            spec.metadata.parent_node_execution.CopyFrom(
                request.metadata.parent_node_execution
            )
        return await self._create_from(
            row, request.name, spec, context, recovers=original
        )

    async def _create_from(
        self,
        row: ExecutionRow,
        name: str,
        spec: execution_pb2.ExecutionSpec,
        context: CallContext,
        *,
        recovers: ExecutionRef | None = None,
    ) -> execution_pb2.ExecutionCreateResponse:
        """Create an execution with the inputs of another one."""
        requested = ExecutionRef(
            project=row.execution_project,
            domain=row.execution_domain,
            name=name,
        )
        ref = await create(
            self.services,
            requested,
            spec,
            await load_literals(self.services, row.user_inputs),
            actor=actor(context),
            recovers=recovers,
        )
        return execution_pb2.ExecutionCreateResponse(id=to_execution_id(ref))

    async def TerminateExecution(
        self, request: execution_pb2.ExecutionTerminateRequest, context: CallContext
    ) -> execution_pb2.ExecutionTerminateResponse:
        """Abort an execution and everything that runs for it."""
        ref = execution_ref(request.id)
        try:
            await terminate(self.services, ref, request.cause, actor=actor(context))
        except RpcError as error:
            raise await self._termination_error(ref, error) from error
        return execution_pb2.ExecutionTerminateResponse()

    async def _termination_error(self, ref: ExecutionRef, error: RpcError) -> RpcError:
        """Return the error with Flyte's text, and with its reason for programs."""
        if error.code is grpc.StatusCode.NOT_FOUND:
            return missing("EXECUTION", ref.text())
        if error.code is not grpc.StatusCode.FAILED_PRECONDITION:
            return error
        row = await find_execution(self.services, ref)
        reason = event_pb2.EventFailureReason()
        reason.already_in_terminal_state.current_phase = row.phase
        return RpcError(error.code, error.detail, reason)

    async def GetExecution(
        self, request: execution_pb2.WorkflowExecutionGetRequest, _context: CallContext
    ) -> execution_pb2.Execution:
        """Return an execution."""
        row = await find_execution(self.services, execution_ref(request.id))
        states = await registry.execution_states(self.services.pool, [row.stream])
        return to_execution(row, state=states.get(row.stream))

    async def UpdateExecution(
        self, request: execution_pb2.ExecutionUpdateRequest, context: CallContext
    ) -> execution_pb2.ExecutionUpdateResponse:
        """Archive an execution, or activate it again (ref §2.2)."""
        ref = execution_ref(request.id)
        await find_execution(self.services, ref)
        event = ExecutionStateSet(
            occurred_at_us=self.services.clock.now_us(),
            execution=ref,
            state=request.state,
            principal=actor(context),
        )
        stream = stream_of("execution_state", ref.project, ref.domain, ref.name)
        await decide(
            self.services.store,
            stream,
            lambda known: execution_states.set_state(known, event),
        )
        return execution_pb2.ExecutionUpdateResponse()

    async def ListExecutions(
        self, request: common_pb2.ResourceListRequest, _context: CallContext
    ) -> execution_pb2.ExecutionList:
        """Return the executions of a project and domain, or only those of one name."""
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
                to_execution(row, in_list=True, state=states.get(row.stream))
                for row in rows
            ],
            token=next_token(page, rows),
        )

    async def GetExecutionData(
        self,
        request: execution_pb2.WorkflowExecutionGetDataRequest,
        _context: CallContext,
    ) -> execution_pb2.WorkflowExecutionGetDataResponse:
        """Return an execution's inputs and outputs."""
        row = await find_execution(self.services, execution_ref(request.id))
        reply = execution_pb2.WorkflowExecutionGetDataResponse()
        await fill_reply(self.services, reply, inputs=row.inputs, outputs=row.outputs)
        return reply
