"""Compiling off the event loop: small graphs in a thread, large ones in a process.

A graph of 10,000 nodes takes seconds of pure Python; in a thread it would slow down
everything else in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context

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
_Packed = tuple[bytes, tuple[bytes, ...], tuple[_Task, ...], tuple[_Plan, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a workflow is compiled from: its own graphs, and what their nodes refer to.

    Tasks and launch plans that are not registered are left out.
    """

    template: workflow_pb2.WorkflowTemplate
    sub_workflows: Sequence[workflow_pb2.WorkflowTemplate]
    tasks: Mapping[EntityRef, tasks_pb2.TaskTemplate]
    launch_plans: Mapping[EntityRef, LaunchPlanInterface]

    @property
    def node_count(self) -> int:
        """Return how many nodes there are at the top of all graphs."""
        return sum(len(w.nodes) for w in (self.template, *self.sub_workflows))

    def pack(self) -> _Packed:
        """Return everything as bytes, for another process."""
        return (
            self.template.SerializeToString(),
            tuple(sub.SerializeToString() for sub in self.sub_workflows),
            tuple((ref, task.SerializeToString()) for ref, task in self.tasks.items()),
            tuple(
                (
                    ref,
                    plan.expected_inputs.SerializeToString(),
                    plan.expected_outputs.SerializeToString(),
                )
                for ref, plan in self.launch_plans.items()
            ),
        )

    @classmethod
    def unpack(cls, packed: _Packed) -> Sources:
        """Return what `pack` wrote."""
        template, subs, tasks, plans = packed
        return cls(
            template=workflow_pb2.WorkflowTemplate.FromString(template),
            sub_workflows=[workflow_pb2.WorkflowTemplate.FromString(s) for s in subs],
            tasks={ref: tasks_pb2.TaskTemplate.FromString(task) for ref, task in tasks},
            launch_plans={
                ref: LaunchPlanInterface(
                    interface_pb2.ParameterMap.FromString(inputs),
                    interface_pb2.VariableMap.FromString(outputs),
                )
                for ref, inputs, outputs in plans
            },
        )


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled workflow, and the digest by which equal ones are recognised."""

    closure: compiler_pb2.CompiledWorkflowClosure
    digest: str


@dataclass(slots=True)
class CompilePool:
    """Compiles workflows; at most `PROCESSES_MAX` large ones at once."""

    _slots: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(PROCESSES_MAX)
    )

    async def compile(self, sources: Sources) -> Compiled:
        """Return the compiled workflow; raises RpcError with everything wrong in it."""
        nodes = sources.node_count
        if nodes <= NODES_IN_THREAD_MAX:
            compiled = await asyncio.to_thread(_compile, sources)
        else:
            name = sources.template.id.name
            log_.info("compiling_large_workflow", name=name, nodes=nodes)
            compiled = await self._compile_in_process(sources.pack())
        if isinstance(compiled, CompileErrors):
            raise invalid(f"failed to compile workflow: {compiled.text()}")
        return compiled

    async def _compile_in_process(self, packed: _Packed) -> Compiled | CompileErrors:
        """Compile in a process that ends with it: idle ones would cost memory."""
        async with self._slots:
            compiled = await _in_process(packed)
        if isinstance(compiled, CompileErrors):
            return compiled
        data, digest_ = compiled
        parse = compiler_pb2.CompiledWorkflowClosure.FromString
        return Compiled(await asyncio.to_thread(parse, data), digest_)


async def _in_process(packed: _Packed) -> tuple[bytes, str] | CompileErrors:
    pool = ProcessPoolExecutor(1, get_context("spawn"))
    try:
        async with asyncio.timeout(COMPILE_S_MAX):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(pool, _compile_packed, packed)
    except BrokenProcessPool as error:
        raise RpcError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "Expected to compile the workflow, but the compiler's process died; is "
            "there enough memory?",
        ) from error
    except TimeoutError as error:
        raise RpcError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"Expected to compile the workflow within {COMPILE_S_MAX:g} s, but it "
            "takes longer",
        ) from error
    finally:
        _terminate(pool)


def _terminate(pool: ProcessPoolExecutor) -> None:
    """End a pool's process, even while it works."""
    processes = list((pool._processes or {}).values())  # noqa: SLF001 - before Python 3.14 nothing public ends them at once
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()


def _compile(sources: Sources) -> Compiled | CompileErrors:
    closure = compile_workflow(
        sources.template, sources.sub_workflows, sources.tasks, sources.launch_plans
    )
    if isinstance(closure, CompileErrors):
        return closure
    return Compiled(closure, digest(closure))


def _compile_packed(packed: _Packed) -> tuple[bytes, str] | CompileErrors:
    """Compile in another process: bytes in, bytes and digest or the errors out."""
    compiled = _compile(Sources.unpack(packed))
    if isinstance(compiled, CompileErrors):
        return compiled
    return compiled.closure.SerializeToString(deterministic=True), compiled.digest
