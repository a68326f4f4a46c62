"""AdminService: executions, their nodes and attempts."""

from __future__ import annotations

import secrets
from typing import Any

from flyteidl.admin import (
    execution_pb2,
    node_execution_pb2,
    task_execution_pb2,
)
from flyteidl.core import literals_pb2
from msgspec.structs import replace

from domain import admission
from domain.graph import entity_ref
from domain.registry.identity import is_label
from gateway import registration, translate
from gateway.errors import accepted, invalid, missing
from gateway.paging import next_token, page_of
from gateway.services import Services
from infra.signing import Grant
from projections import queries
from projections.rows import ExecutionRow, NodeRow, TaskRow
from schemas import commands as c
from schemas.ids import ExecutionRef, execution_stream
from schemas.values import Values

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_DRAWN_LENGTH = 19
_RELAUNCH = execution_pb2.ExecutionMetadata.RELAUNCH


class ExecutionRpcs:
    """RPCs on executions."""

    services: Services

    async def CreateExecution(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Create an execution; its name is drawn where none is given (ref §2.2)."""
        if not request.HasField("spec"):
            raise invalid("Expected a spec, but there is none")
        inputs = request.inputs if request.inputs.literals else request.spec.inputs
        return await self._create(
            request.project,
            request.domain,
            request.name,
            request.spec,
            inputs.SerializeToString(deterministic=True),
            context,
        )

    async def RelaunchExecution(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Create an execution with another one's settings and inputs (ref §9)."""
        row = await self._execution(request.id)
        spec = admission.relaunched(
            execution_pb2.ExecutionSpec.FromString(row.spec),
            overwrite_cache=request.overwrite_cache,
            mode=_RELAUNCH,
            reference=request.id,
        )
        inputs = await self._bytes(row.user_inputs)
        ref = request.id
        return await self._create(
            ref.project, ref.domain, request.name, spec, inputs, context
        )

    async def TerminateExecution(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Abort an execution and everything that runs for it."""
        ref = _execution_ref(request.id)
        command = c.TerminateExecution(cause=request.cause, principal=actor(context))
        await self.services.submit(
            execution_stream(ref),
            command,
            actor=actor(context),
            now_us=self.services.clock.now_us(),
        )
        return execution_pb2.ExecutionTerminateResponse()

    async def GetExecution(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return an execution."""
        return translate.execution(await self._execution(request.id))

    async def ListExecutions(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return executions of a project and domain."""
        page = page_of(request)
        if not request.id.project or not request.id.domain:
            raise invalid("Expected a project and a domain, but one is empty")
        rows = accepted(
            await queries.list_executions(
                self.services.pool, request.id.project, request.id.domain, page
            )
        )
        return execution_pb2.ExecutionList(
            executions=[translate.execution(row, in_list=True) for row in rows],
            token=next_token(page, rows),
        )

    async def GetExecutionData(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return an execution's inputs and outputs."""
        row = await self._execution(request.id)
        reply = execution_pb2.WorkflowExecutionGetDataResponse()
        await self._data(reply, row.inputs, row.outputs)
        return reply

    async def GetNodeExecution(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a node execution."""
        row = await self._node(request.id)
        return translate.node_execution(row, root=self.services.blobs.root)

    async def ListNodeExecutions(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the node executions at the top, or inside a parent."""
        page = page_of(request)
        ref = _execution_ref(request.workflow_execution_id)
        rows = accepted(
            await queries.list_nodes(
                self.services.pool, ref, request.unique_parent_id, page
            )
        )
        root = self.services.blobs.root
        return node_execution_pb2.NodeExecutionList(
            node_executions=[
                translate.node_execution(row, root=root, in_list=True) for row in rows
            ],
            token=next_token(page, rows),
        )

    async def ListNodeExecutionsForTask(  # noqa: N802
        self, _request: Any, _context: Any
    ) -> Any:
        """Return nothing: nodes hang off nodes, not attempts (ref §1.3)."""
        return node_execution_pb2.NodeExecutionList()

    async def GetNodeExecutionData(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a node's inputs and outputs."""
        row = await self._node(request.id)
        reply = node_execution_pb2.NodeExecutionGetDataResponse()
        await self._data(reply, row.inputs, row.outputs)
        return reply

    async def GetTaskExecution(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return one attempt of a node's task."""
        row, node = await self._attempt(request.id)
        return translate.task_execution(row, input_uri=self._input_uri(node))

    async def ListTaskExecutions(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the attempts of a node's task."""
        page = page_of(request)
        at = request.node_execution_id
        node = await self._node(at)
        rows = accepted(
            await queries.list_task_executions(
                self.services.pool, _execution_ref(at.execution_id), at.node_id, page
            )
        )
        uri = self._input_uri(node)
        return task_execution_pb2.TaskExecutionList(
            task_executions=[translate.task_execution(r, input_uri=uri) for r in rows],
            token=next_token(page, rows),
        )

    async def GetTaskExecutionData(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return an attempt's inputs and outputs."""
        row, node = await self._attempt(request.id)
        reply = task_execution_pb2.TaskExecutionGetDataResponse()
        await self._data(reply, node.inputs, row.outputs)
        return reply

    async def _create(  # noqa: PLR0913
        self,
        project: str,
        domain: str,
        name: str,
        spec: Any,
        inputs: bytes,
        context: Any,
    ) -> Any:
        if not is_label(project) or not is_label(domain):
            raise invalid(f"Expected a project and a domain, but got '{project}/{domain}'")
        name = name or "a" + "".join(
            secrets.choice(_LETTERS) for _ in range(_DRAWN_LENGTH)
        )
        target = entity_ref(spec.launch_plan)
        ref = ExecutionRef(project=project, domain=domain, name=name)
        kept = execution_pb2.ExecutionSpec()
        kept.CopyFrom(spec)
        kept.ClearField("inputs")
        command = c.CreateExecution(
            project=project,
            domain=domain,
            name=name,
            launch_plan=target,
            spec=kept.SerializeToString(deterministic=True),
            requested_at_us=self.services.clock.now_us(),
        )
        refused = admission.check_name(command)
        if refused is not None:
            accepted(refused)
        if target.kind == "TASK":
            await registration.register_single_task(self.services, target)
        command = await self._with_inputs(command, inputs)
        await self.services.submit(
            execution_stream(ref),
            command,
            actor=actor(context),
            now_us=self.services.clock.now_us(),
        )
        return execution_pb2.ExecutionCreateResponse(id=translate.execution_id(ref))

    async def _with_inputs(self, command: Any, inputs: bytes) -> Any:
        """Put inputs into the command, or beside it if they are large."""
        if len(inputs) <= self.services.settings.inline_limit_bytes:
            return replace(command, inputs=inputs)
        drawn = secrets.token_hex(8)
        path = f"metadata/requests/{command.project}/{command.domain}/{drawn}"
        blob = await self.services.blobs.put(self.services.blobs.uri(path), inputs)
        return replace(command, inputs_uri=blob.uri)

    async def _execution(self, identifier: Any) -> ExecutionRow:
        ref = _execution_ref(identifier)
        row = await queries.get_execution(self.services.pool, ref)
        if row is None:
            raise missing("EXECUTION", ref.text())
        return row

    async def _node(self, identifier: Any) -> NodeRow:
        ref = _execution_ref(identifier.execution_id)
        if not identifier.node_id:
            raise invalid("Expected a node id, but it is empty")
        row = await queries.get_node(self.services.pool, ref, identifier.node_id)
        if row is None:
            raise missing("NODE_EXECUTION", f"{ref.text()}/{identifier.node_id}")
        return row

    async def _attempt(self, identifier: Any) -> tuple[TaskRow, NodeRow]:
        at = identifier.node_execution_id
        node = await self._node(at)
        ref = _execution_ref(at.execution_id)
        row = await queries.get_task_execution(
            self.services.pool, ref, at.node_id, identifier.retry_attempt
        )
        if row is None:
            text = f"{ref.text()}/{at.node_id}/{identifier.retry_attempt}"
            raise missing("TASK_EXECUTION", text)
        return row, node

    def _input_uri(self, node: NodeRow) -> str:
        return f"{self.services.blobs.root}/{node.input_path}"

    async def _bytes(self, values: Values) -> bytes:
        if values.inline is not None:
            return values.inline
        return await self.services.blobs.get(values.uri)

    async def _data(
        self, reply: Any, inputs: Values | None, outputs: Values | None
    ) -> None:
        """Fill a data reply: whole values up to a limit, signed links above it."""
        for values, blob, full in (
            (inputs, reply.inputs, reply.full_inputs),
            (outputs, reply.outputs, reply.full_outputs),
        ):
            if values is None:
                continue
            size = values.size or len(values.inline or b"")
            if size <= self.services.settings.gateway.data_bytes_max:
                data = await self._bytes(values)
                full.CopyFrom(literals_pb2.LiteralMap.FromString(data))
            if values.uri:
                blob.bytes = size
                blob.url = self._link(values.uri)

    def _link(self, uri: str) -> str:
        limit_us = self.services.settings.gateway.signed_url_s * 1_000_000
        expires = self.services.clock.now_us() + limit_us
        grant = Grant(method="GET", uri=uri, expires_at_us=expires)
        return self.services.signer.url(grant)


def actor(context: Any) -> str:
    """Return who calls: nobody by name, as long as authentication is off."""
    del context
    return ""


def _execution_ref(identifier: Any) -> ExecutionRef:
    for part in ("project", "domain", "name"):
        if not getattr(identifier, part):
            raise invalid(f"Expected an execution id with a {part}, but it is empty")
    return ExecutionRef(
        project=identifier.project, domain=identifier.domain, name=identifier.name
    )


