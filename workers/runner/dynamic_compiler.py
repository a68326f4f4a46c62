"""Expanding: what a dynamic task made, compiled to what runs in its place."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flyteidl.admin import workflow_pb2 as admin_workflow_pb2
from flyteidl.core import dynamic_job_pb2, identifier_pb2, tasks_pb2, workflow_pb2
from google.protobuf.message import DecodeError
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from domain.compiler.compile import CompileErrors, compile_workflow
from domain.compiler.requirements import requirements
from domain.graph import entity_ref
from infra.blobs.files import BlobNotFoundError, Blobs, BlobTooLargeError
from infra.errors import TransientError
from infra.postgres.pool import Pool
from infra.retry import retry_transient
from projections.queries import compiler_inputs
from schemas.values import NO_VALUES
from workers.plugins.plugin import (
    Expanded,
    Result,
    Succeeded,
    Work,
    failed,
    interrupted,
)

BUILD_FAILED = "DynamicWorkflowBuildFailed"
_VERSION_LETTERS = 10

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Expander:
    """Compiles workflows that tasks made; tasks and plans of others are looked up."""

    pool: Pool
    blobs: Blobs
    bytes_max: int

    async def expand(self, work: Work, spec_uri: str) -> Result:
        """Return the compiled workflow of a core.DynamicJobSpec, or why there is none.

        It is kept beside the spec (ref §5.5).
        """
        try:
            data = await self.blobs.get(spec_uri, self.bytes_max)
            spec = dynamic_job_pb2.DynamicJobSpec.FromString(data)
        except BlobTooLargeError as large:
            return failed(BUILD_FAILED, str(large))
        except BlobNotFoundError as missing:
            return interrupted(BUILD_FAILED, str(missing))
        except DecodeError:
            message = f"Expected a workflow at {spec_uri}, but it is damaged"
            return interrupted(BUILD_FAILED, message)
        if not spec.nodes and not spec.outputs:
            return Succeeded(outputs=NO_VALUES)
        template = _template(work, spec, data)
        needs = requirements(template, spec.subworkflows)
        tasks = {entity_ref(task.id): task for task in spec.tasks}
        others = [i for i in needs.tasks if entity_ref(i) not in tasks]
        tasks |= await _retry_transient(
            lambda: compiler_inputs.task_templates(self.pool, others)
        )
        plans = await _retry_transient(
            lambda: compiler_inputs.launch_plan_interfaces(
                self.pool, needs.launch_plans
            )
        )
        compiled = await asyncio.to_thread(
            compile_workflow, template, spec.subworkflows, tasks, plans
        )
        if isinstance(compiled, CompileErrors):
            return failed(BUILD_FAILED, compiled.text())
        closure = admin_workflow_pb2.WorkflowClosure(compiled_workflow=compiled)
        folder = spec_uri.rpartition("/")[0]
        inside = await self.blobs.put(
            f"{folder}/dynamic_compiled.pb",
            closure.SerializeToString(deterministic=True),
        )
        return Expanded(
            workflow=compiler_inputs.of_kind(template.id, "WORKFLOW"),
            inside=inside,
            spec_uri=spec_uri,
        )


async def _retry_transient(read: Callable[[], Awaitable[_T]]) -> _T:
    """Wait out that the registry is away: that isn't the task's fault."""

    async def action() -> _T:
        try:
            return await read()
        except (OperationalError, PoolTimeout) as error:
            message = f"Expected the registry to answer, but: {error}"
            raise TransientError(message) from error

    return await retry_transient(action, "expanding_delayed")


def _template(work: Work, spec: Any, data: bytes) -> Any:
    """Return the workflow of a spec: it yields what the task should."""
    dispatch = work.dispatch
    task = tasks_pb2.TaskTemplate.FromString(dispatch.template)
    template = workflow_pb2.WorkflowTemplate(nodes=spec.nodes, outputs=spec.outputs)
    template.id.CopyFrom(
        identifier_pb2.Identifier(
            resource_type=identifier_pb2.WORKFLOW,
            project=dispatch.execution.project,
            domain=dispatch.execution.domain,
            name=f"dynamic_{dispatch.node_id}",
            version=hashlib.sha256(data).hexdigest()[:_VERSION_LETTERS],
        )
    )
    template.interface.outputs.CopyFrom(task.interface.outputs)
    return template
