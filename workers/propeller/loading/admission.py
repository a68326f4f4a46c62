"""Admission: loads what creating an execution needs, and applies its rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from flyteidl.admin import execution_pb2, launch_plan_pb2
from flyteidl.core import literals_pb2
from google.protobuf.message import DecodeError
from msgspec.structs import replace

from domain import admission
from domain.execution.state.saved_nodes import NOTHING_SAVED, Recovery
from domain.execution_specs import execution_config
from domain.graph import Definition
from domain.notifying.requests import NOTHING_SET, Reachable
from domain.registry.attributes import AttributesKey
from domain.registry.identity import invalid
from infra.eventlog.contract import Log
from infra.postgres.failures import outages_are_transient
from infra.postgres.pool import Pool
from projections.queries import registry
from projections.registry_rows import WorkflowVersionRow
from schemas.envelope import Envelope
from schemas.ids import EntityRef, ExecutionRef
from schemas.messages.commands import CreateExecution
from schemas.messages.execution_events import ExecutionCreated
from schemas.messages.rejections import Rejected
from schemas.values import Blob, Values
from workers.propeller.loading.definition_cache import DefinitionCache
from workers.propeller.loading.inputs import Blobs, read_inputs, store_inputs
from workers.propeller.loading.recovery_source import (
    RecoverySource,
    load_recovery_source,
    with_dynamic_workflows,
)

CACHED_MAX = 1000
_CONFIG = "WORKFLOW_EXECUTION_CONFIG"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Admission:
    """The event that begins an execution, its graph, and what it recovers."""

    created: ExecutionCreated
    definition: Definition
    recovery: Recovery = NOTHING_SAVED


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLoader:
    """Admits executions by the registry, the blob store and the log."""

    log: Log
    pool: Pool
    blobs: Blobs
    definitions: DefinitionCache
    domains: tuple[str, ...]
    max_parallelism: int
    inline_bytes_max: int
    input_bytes_max: int | None = None
    reachable: Reachable = NOTHING_SET
    launch_plans: dict[EntityRef, admission.LaunchPlan] = field(default_factory=dict)
    workflows: dict[EntityRef, WorkflowVersionRow] = field(default_factory=dict)

    async def admit(
        self, command: CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission | Rejected:
        """Return the event that begins the execution, or why it may not begin.

        Raises TransientError while Postgres can't be reached: that rejects nothing.
        """
        with outages_are_transient():
            return await self._admit(command, envelope, now_us)

    async def _admit(
        self, command: CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission | Rejected:
        rejected = admission.check_ids(command)
        if rejected is not None:
            return rejected
        source = await self._recovery_source(command)
        if isinstance(source, Rejected):
            return source
        try:
            spec = execution_pb2.ExecutionSpec.FromString(command.spec)
        except DecodeError as error:
            return invalid(f"Expected an ExecutionSpec, but got other bytes: {error}")
        context = await self._context(command)
        given = await read_inputs(
            self.blobs, command, context.launch_plan, self.input_bytes_max
        )
        if isinstance(given, Rejected):
            return given
        admitted = admission.admit(command, spec, given, context)
        if isinstance(admitted, Rejected):
            return admitted
        ref = admitted.workflow
        workflow = await _cached(self.workflows, ref, self._workflow)
        if workflow is None:
            return invalid(f"Expected workflow {ref.text()} to exist, but it doesn't")
        created = await self._created(
            command, envelope, admitted, given, workflow.closure, now_us
        )
        return await self._recovering(command, created, source)

    async def _recovery_source(
        self, command: CreateExecution
    ) -> RecoverySource | Rejected | None:
        """Return the execution that a creation recovers, or why it can't."""
        if command.recovers is None:
            return None
        source = await load_recovery_source(self.log, command.recovers)
        rejected = admission.check_recovery_source(
            command,
            exists=source.created is not None and not source.is_deleted,
            has_ended=source.has_ended,
        )
        return rejected or source

    async def _recovering(
        self,
        command: CreateExecution,
        created: ExecutionCreated,
        source: RecoverySource | None,
    ) -> Admission | Rejected:
        """Admit an execution with what it recovers.

        A parent's child that can't recover what it was asked to begins from scratch.
        """
        definition = await self.definitions.load(created.definition)
        if source is None:
            return Admission(created, definition)
        if source.is_of(created) and not source.is_deleted:
            definition = await with_dynamic_workflows(
                definition, source.recovery, self.definitions
            )
            return Admission(created, definition, source.recovery)
        if command.parent is None:
            return invalid(
                "Expected to recover an execution of the same launch plan with the "
                f"same inputs, but {source.ref.text()} is another"
            )
        return Admission(replace(created, recovers=None), definition)

    async def _workflow(self, ref: EntityRef) -> WorkflowVersionRow | None:
        return await registry.get_version(self.pool, registry.WORKFLOWS, ref)

    async def _launch_plan(self, ref: EntityRef) -> admission.LaunchPlan | None:
        row = await registry.get_version(self.pool, registry.LAUNCH_PLANS, ref)
        if row is None:
            return None
        return admission.LaunchPlan(
            launch_plan_pb2.LaunchPlanSpec.FromString(row.spec),
            launch_plan_pb2.LaunchPlanClosure.FromString(row.closure).expected_inputs,
        )

    async def _context(self, command: CreateExecution) -> admission.AdmissionContext:
        """Return what an admission is decided by."""
        ref = _launch_plan(command.launch_plan)
        plan = await _cached(self.launch_plans, ref, self._launch_plan)
        level = AttributesKey(
            resource=_CONFIG,
            project=command.project,
            domain=command.domain,
            workflow=plan.spec.workflow_id.name if plan is not None else "",
        )
        project, attributes = await registry.project_and_attributes(self.pool, level)
        return admission.AdmissionContext(
            project=project,
            domains=self.domains,
            launch_plan=plan,
            levels=tuple(execution_config(found) for found in attributes),
            max_parallelism=self.max_parallelism,
            reachable=self.reachable,
        )

    async def _created(
        self,
        command: CreateExecution,
        envelope: Envelope,
        admitted: admission.Admitted,
        given: literals_pb2.LiteralMap,
        closure: Blob,
        now_us: int,
    ) -> ExecutionCreated:
        ref = ExecutionRef(
            project=command.project, domain=command.domain, name=command.name
        )
        is_single_task = command.launch_plan.kind == "TASK"
        principal = admitted.spec.metadata.principal
        return ExecutionCreated(
            occurred_at_us=now_us,
            execution=ref,
            launch_plan=_launch_plan(command.launch_plan),
            workflow=admitted.workflow,
            task=command.launch_plan if is_single_task else None,
            spec=admitted.spec.SerializeToString(deterministic=True),
            inputs=await self._stored(ref, "inputs", admitted.inputs),
            user_inputs=await self._stored(ref, "user_inputs", given),
            definition=closure,
            principal=principal if command.parent else envelope.actor,
            max_parallelism=admitted.max_parallelism,
            parent=command.parent,
            root=envelope.correlation or envelope.stream,
            created_by=envelope.id,
            recovers=command.recovers,
        )

    async def _stored(
        self, ref: ExecutionRef, name: str, literals: literals_pb2.LiteralMap
    ) -> Values:
        path = f"metadata/{ref.text()}/{name}"
        return await store_inputs(self.blobs, path, literals, self.inline_bytes_max)


async def _cached(
    cache: dict[EntityRef, _T],
    ref: EntityRef,
    load: Callable[[EntityRef], Awaitable[_T | None]],
) -> _T | None:
    """Return what belongs to a registered version: that never changes."""
    found = cache.get(ref)
    if found is None:
        found = await load(ref)
        if found is not None:
            if len(cache) >= CACHED_MAX:
                cache.clear()
            cache[ref] = found
    return found


def _launch_plan(ref: EntityRef) -> EntityRef:
    """Return the launch plan; a single task has one of its own (ref §2.4)."""
    name = f".flytegen.{ref.name}" if ref.kind == "TASK" else ref.name
    return EntityRef(
        kind="LAUNCH_PLAN",
        project=ref.project,
        domain=ref.domain,
        name=name,
        version=ref.version,
    )
