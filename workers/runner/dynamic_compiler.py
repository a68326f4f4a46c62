"""Compiles the workflows that dynamic tasks generate (ref §5.5)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from flyteidl.admin import workflow_pb2 as admin_workflow_pb2
from flyteidl.core import (
    compiler_pb2,
    dynamic_job_pb2,
    identifier_pb2,
    tasks_pb2,
    workflow_pb2,
)
from google.protobuf.message import DecodeError

from domain.compiler.compile import CompileErrors, compile_workflow
from domain.compiler.requirements import requirements
from domain.graph import entity_ref
from infra.blobs.files import BlobNotFoundError, Blobs, BlobTooLargeError
from infra.postgres.failures import outages_are_transient
from infra.postgres.pool import Pool
from infra.retry import retry_transient
from projections.queries import compiler_inputs
from schemas.values import NO_VALUES
from workers.plugins.plugin import (
    Expanded,
    Failed,
    Result,
    Succeeded,
    Work,
    permanent_failure,
    system_retryable_failure,
)

BUILD_FAILED = "DynamicWorkflowBuildFailed"
_VERSION_CHARACTERS = 10

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class DynamicCompiler:
    """Compiles core.DynamicJobSpecs; other tasks and launch plans are looked up."""

    pool: Pool
    blobs: Blobs
    bytes_max: int

    async def compile_spec(self, work: Work, spec_uri: str) -> Result:
        """Return the compiled workflow of a spec, or why it can't be compiled.

        The compiled workflow is stored beside the spec.
        """
        data = await self._read(spec_uri)
        if isinstance(data, Failed):
            return data
        try:
            spec = dynamic_job_pb2.DynamicJobSpec.FromString(data)
        except DecodeError:
            message = (
                f"Expected a DynamicJobSpec at {spec_uri}, but it can't be decoded"
            )
            return system_retryable_failure(BUILD_FAILED, message)
        if not spec.nodes and not spec.outputs:
            return Succeeded(outputs=NO_VALUES)
        template = _template(work, spec, data)
        compiled = await self._compile(template, spec)
        if isinstance(compiled, CompileErrors):
            return permanent_failure(BUILD_FAILED, compiled.text())
        closure = admin_workflow_pb2.WorkflowClosure(compiled_workflow=compiled)
        folder = spec_uri.rpartition("/")[0]
        blob = await self.blobs.put(
            f"{folder}/dynamic_compiled.pb",
            closure.SerializeToString(deterministic=True),
        )
        return Expanded(
            workflow=entity_ref(template.id, "WORKFLOW"),
            closure=blob,
            spec_uri=spec_uri,
        )

    async def _read(self, spec_uri: str) -> bytes | Failed:
        try:
            return await self.blobs.get(spec_uri, self.bytes_max)
        except BlobTooLargeError as large:
            return permanent_failure(BUILD_FAILED, str(large))
        except BlobNotFoundError as missing:
            return system_retryable_failure(BUILD_FAILED, str(missing))

    async def _compile(
        self,
        template: workflow_pb2.WorkflowTemplate,
        spec: dynamic_job_pb2.DynamicJobSpec,
    ) -> compiler_pb2.CompiledWorkflowClosure | CompileErrors:
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
        return await asyncio.to_thread(
            compile_workflow, template, spec.subworkflows, tasks, plans
        )


async def _retry_transient(read: Callable[[], Awaitable[_T]]) -> _T:
    """Wait until the registry can be reached: a retry of the task wouldn't help."""

    async def action() -> _T:
        with outages_are_transient():
            return await read()

    return await retry_transient(action, "dynamic_compilation_delayed")


def _template(
    work: Work, spec: dynamic_job_pb2.DynamicJobSpec, data: bytes
) -> workflow_pb2.WorkflowTemplate:
    """Return the workflow of a spec: its outputs are those that the task declares."""
    dispatch = work.dispatch
    task = tasks_pb2.TaskTemplate.FromString(dispatch.template)
    template = workflow_pb2.WorkflowTemplate(nodes=spec.nodes, outputs=spec.outputs)
    template.id.CopyFrom(
        identifier_pb2.Identifier(
            resource_type=identifier_pb2.WORKFLOW,
            project=dispatch.execution.project,
            domain=dispatch.execution.domain,
            name=f"dynamic_{dispatch.node_id}",
            version=hashlib.sha256(data).hexdigest()[:_VERSION_CHARACTERS],
        )
    )
    template.interface.outputs.CopyFrom(task.interface.outputs)
    return template
