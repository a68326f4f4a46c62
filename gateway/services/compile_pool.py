"""Compiling off the event loop: small graphs in a thread, large ones in a process.

A graph of 10,000 nodes takes seconds of pure Python; in a thread it would hold back
everything else that this process does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import grpc
import structlog
from flyteidl.core import (
    compiler_pb2,
    interface_pb2,
    tasks_pb2,
    workflow_pb2,
)

from domain.compiler.compile import compile_workflow
from domain.compiler.errors import CompileErrors
from domain.compiler.interfaces import LaunchPlanInterface
from domain.registry.identity import digest
from gateway.services.errors import RpcError, invalid
from schemas.ids import EntityRef

log_ = structlog.get_logger(__name__)

NODES_IN_THREAD_MAX = 1_000
COMPILE_S_MAX = 300.0
PROCESSES_MAX = 1

_Plan = tuple[EntityRef, bytes, bytes]
_Task = tuple[EntityRef, bytes]
_Parts = tuple[bytes, tuple[bytes, ...], tuple[_Task, ...], tuple[_Plan, ...]]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A core.CompiledWorkflowClosure and the digest that tells it from others."""

    closure: Any
    digest: str


@dataclass(slots=True)
class Compiling:
    """Compiles workflows; at most `PROCESSES_MAX` large ones at once."""

    _turns: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(PROCESSES_MAX)
    )

    async def __call__(
        self,
        template: Any,
        sub_workflows: Sequence[Any],
        tasks: Mapping[EntityRef, Any],
        launch_plans: Mapping[EntityRef, LaunchPlanInterface],
    ) -> Compiled:
        """Return the compiled workflow; raises Refused with all that is wrong."""
        parts = (template, sub_workflows, tasks, launch_plans)
        nodes = sum(len(workflow.nodes) for workflow in (template, *sub_workflows))
        if nodes <= NODES_IN_THREAD_MAX:
            found = await asyncio.to_thread(_compile, *parts)
        else:
            log_.info("compiling_large_workflow", name=template.id.name, nodes=nodes)
            found = await self._elsewhere(_packed(*parts))
        if isinstance(found, str):
            raise invalid(found)
        return found

    async def _elsewhere(self, parts: _Parts) -> Compiled | str:
        """Compile in a process that lives for this only: idle ones cost memory."""
        loop = asyncio.get_running_loop()
        async with self._turns:
            pool = ProcessPoolExecutor(1, get_context("spawn"))
            try:
                async with asyncio.timeout(COMPILE_S_MAX):
                    found = await loop.run_in_executor(pool, _compile_packed, parts)
            except BrokenProcessPool as error:
                raise RpcError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "Expected to compile the workflow, but the compiler's process "
                    "died; is there enough memory?",
                ) from error
            except TimeoutError as error:
                raise RpcError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"Expected to compile the workflow within {COMPILE_S_MAX:g} s, "
                    "but it takes longer",
                ) from error
            finally:
                _end(pool)
        if isinstance(found, str):
            return found
        data, sha = found
        parse = compiler_pb2.CompiledWorkflowClosure.FromString
        return Compiled(await asyncio.to_thread(parse, data), sha)


def _end(pool: ProcessPoolExecutor) -> None:
    """End a pool's process, also in the midst of its work."""
    processes = list((pool._processes or {}).values())  # noqa: SLF001 - it has no way to stop at once before Python 3.14
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()


def _compile(
    template: Any,
    sub_workflows: Sequence[Any],
    tasks: Mapping[EntityRef, Any],
    launch_plans: Mapping[EntityRef, LaunchPlanInterface],
) -> Compiled | str:
    closure = compile_workflow(template, sub_workflows, tasks, launch_plans)
    if isinstance(closure, CompileErrors):
        return f"failed to compile workflow: {closure.text()}"
    return Compiled(closure, digest(closure))


def _packed(
    template: Any,
    sub_workflows: Sequence[Any],
    tasks: Mapping[EntityRef, Any],
    launch_plans: Mapping[EntityRef, LaunchPlanInterface],
) -> _Parts:
    return (
        template.SerializeToString(),
        tuple(sub.SerializeToString() for sub in sub_workflows),
        tuple((ref, task.SerializeToString()) for ref, task in tasks.items()),
        tuple(
            (
                ref,
                plan.expected_inputs.SerializeToString(),
                plan.expected_outputs.SerializeToString(),
            )
            for ref, plan in launch_plans.items()
        ),
    )


def _compile_packed(parts: _Parts) -> tuple[bytes, str] | str:
    """Compile in another process: bytes in, bytes and digest or the errors out."""
    template, subs, tasks, plans = parts
    found = _compile(
        workflow_pb2.WorkflowTemplate.FromString(template),
        [workflow_pb2.WorkflowTemplate.FromString(sub) for sub in subs],
        {ref: tasks_pb2.TaskTemplate.FromString(task) for ref, task in tasks},
        {
            ref: LaunchPlanInterface(
                interface_pb2.ParameterMap.FromString(inputs),
                interface_pb2.VariableMap.FromString(outputs),
            )
            for ref, inputs, outputs in plans
        },
    )
    if isinstance(found, str):
        return found
    return found.closure.SerializeToString(deterministic=True), found.digest
