"""Admission: loads what creating an execution needs, and applies its rules."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from flyteidl.admin import (
    execution_pb2,
    launch_plan_pb2,
    matchable_resource_pb2,
)
from flyteidl.core import literals_pb2
from google.protobuf.message import DecodeError
from msgspec.structs import replace

from domain import admission
from domain.execution.state.saved_nodes import NOTHING_SAVED, Recovery
from domain.execution_specs import execution_config
from domain.graph import Definition
from domain.literals import json_values
from domain.registry.identity import invalid
from infra.blobs.files import BlobNotFoundError, InvalidBlobPathError
from infra.eventlog.contract import Log
from infra.postgres.pool import Pool, outages_are_transient
from projections.queries import registry
from projections.queries.registry import Kind
from projections.registry_rows import (
    LaunchPlanVersionRow,
    VersionRow,
    WorkflowVersionRow,
)
from schemas.envelope import Envelope
from schemas.ids import EntityRef, ExecutionRef
from schemas.messages.commands import CreateExecution
from schemas.messages.execution_events import ExecutionCreated
from schemas.messages.rejections import Rejected
from schemas.values import Blob, Values
from workers.propeller.loading.definition_cache import DefinitionCache
from workers.propeller.loading.recovery_source import (
    RecoverySource,
    load_recovery_source,
    with_dynamic_workflows,
)

KNOWN_MAX = 1000
_CONFIG = "WORKFLOW_EXECUTION_CONFIG"
_V = TypeVar("_V", bound=VersionRow)


@dataclass(frozen=True, slots=True)
class Admission:
    """The event that would begin an execution, and what deciding on it needs."""

    created: ExecutionCreated
    definition: Definition
    recovery: Recovery = NOTHING_SAVED


class Blobs(Protocol):
    """Where values are offloaded."""

    def uri(self, relative: str) -> str:
        """Return the address of a path below the store's root."""
        ...

    async def get(self, uri: str) -> bytes:
        """Return a blob's bytes."""
        ...

    async def put(self, uri: str, data: bytes) -> Blob:
        """Store a blob."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLoader:
    """Reads the registry, the blob store and the log for creations."""

    log: Log
    pool: Pool
    blobs: Blobs
    definitions: DefinitionCache
    domains: tuple[str, ...]
    max_parallelism: int
    inline_limit_bytes: int
    launch_plans: dict[EntityRef, LaunchPlanVersionRow] = field(default_factory=dict)
    workflows: dict[EntityRef, WorkflowVersionRow] = field(default_factory=dict)

    async def admit(
        self, command: CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission | Rejected:
        """Return the event that would begin the execution, or the refusal.

        Raises Transient while the registry can't be reached: that refuses nothing.
        """
        with outages_are_transient():
            return await self._admit(command, envelope, now_us)

    async def _admit(
        self, command: CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission | Rejected:
        refused = admission.check_ids(command)
        if refused is not None:
            return refused
        original = await self._original(command)
        if isinstance(original, Rejected):
            return original
        spec = _spec(command)
        if isinstance(spec, Rejected):
            return spec
        plan_ref = _plan_ref(command.launch_plan)
        plan = await self._version(self.launch_plans, registry.LAUNCH_PLANS, plan_ref)
        context = await self._events(command, plan)
        given = await self._given(command, context)
        if isinstance(given, Rejected):
            return given
        admitted = admission.admit(command, spec, given, context)
        if isinstance(admitted, Rejected):
            return admitted
        workflow = admitted.workflow
        row = await self._version(self.workflows, registry.WORKFLOWS, workflow)
        if row is None:
            return invalid(
                f"Expected workflow {workflow.text()} to exist, but it doesn't"
            )
        closure = row.closure
        created = await self._created(
            command, envelope, admitted, given, workflow, closure, now_us
        )
        return await self._recovering(command, original, created, closure)

    async def _recovering(
        self,
        command: CreateExecution,
        original: RecoverySource | None,
        created: ExecutionCreated,
        closure: Blob,
    ) -> Admission | Rejected:
        """Return the admission, with the saved nodes of what the execution recovers."""
        definition = await self.definitions.load(closure)
        if original is None or (original.is_of(created) and not original.is_deleted):
            saved = original.recovery if original else NOTHING_SAVED
            definition = await with_dynamic_workflows(
                definition, saved, self.definitions
            )
            return Admission(created, definition, saved)
        if command.parent is None:
            return invalid(
                "Expected to recover an execution of the same launch plan with the "
                f"same inputs, but {original.ref.text()} is another"
            )
        return Admission(replace(created, recovers=None), definition)

    async def _original(
        self, command: CreateExecution
    ) -> RecoverySource | Rejected | None:
        """Return the execution that a creation recovers, or why it can't."""
        if command.recovers is None:
            return None
        original = await load_recovery_source(self.log, command.recovers)
        refused = admission.check_recovery_source(
            command,
            exists=original.created is not None and not original.is_deleted,
            has_ended=original.has_ended,
        )
        return refused or original

    async def _version(
        self, known: dict[EntityRef, _V], kind: Kind[_V], ref: EntityRef
    ) -> _V | None:
        """Return a registered version; it never changes, so a known one is kept."""
        row = known.get(ref)
        if row is None:
            row = await registry.get_version(self.pool, kind, ref)
            if row is not None:
                if len(known) >= KNOWN_MAX:
                    known.clear()
                known[ref] = row
        return row

    async def _events(
        self, command: CreateExecution, plan: LaunchPlanVersionRow | None
    ) -> admission.AdmissionContext:
        project, domain = command.project, command.domain
        launch_plan = None
        levels: list[matchable_resource_pb2.WorkflowExecutionConfig] = []
        if plan is not None:
            spec = launch_plan_pb2.LaunchPlanSpec.FromString(plan.spec)
            closure = launch_plan_pb2.LaunchPlanClosure.FromString(plan.closure)
            launch_plan = admission.LaunchPlan(spec, closure.expected_inputs)
            rows = await registry.matching_attributes(
                self.pool, _CONFIG, project, domain, spec.workflow_id.name
            )
            levels = [execution_config(row.attributes) for row in rows]
        return admission.AdmissionContext(
            project=await registry.get_project(self.pool, project),
            domains=self.domains,
            launch_plan=launch_plan,
            levels=tuple(levels),
            max_parallelism=self.max_parallelism,
        )

    async def _given(
        self, command: CreateExecution, context: admission.AdmissionContext
    ) -> Any | Rejected:
        """Return the inputs that came with the command, in whichever of its forms."""
        forms = (command.inputs, command.inputs_json, command.inputs_uri)
        if sum(form is not None for form in forms) > 1:
            return invalid(
                "Expected inputs in one form, but several of inputs, inputs_json and "
                "inputs_uri are set"
            )
        try:
            if command.inputs_uri is not None:
                data = await self.blobs.get(command.inputs_uri)
                return literals_pb2.LiteralMap.FromString(data)
            if command.inputs_json is not None:
                return _from_json(command.inputs_json, context.launch_plan)
            return literals_pb2.LiteralMap.FromString(command.inputs or b"")
        except (
            DecodeError,
            ValueError,
            BlobNotFoundError,
            InvalidBlobPathError,
        ) as error:
            return invalid(f"Expected inputs that can be read, but: {error}")

    async def _created(
        self,
        command: CreateExecution,
        envelope: Envelope,
        admitted: admission.Admitted,
        given: Any,
        workflow: EntityRef,
        closure: Blob,
        now_us: int,
    ) -> ExecutionCreated:
        where = f"metadata/{command.project}/{command.domain}/{command.name}"
        task = command.launch_plan if command.launch_plan.kind == "TASK" else None
        principal = (
            admitted.spec.metadata.principal if command.parent else envelope.actor
        )
        return ExecutionCreated(
            occurred_at_us=now_us,
            execution=ExecutionRef(
                project=command.project, domain=command.domain, name=command.name
            ),
            launch_plan=_plan_ref(command.launch_plan),
            workflow=workflow,
            task=task,
            spec=admitted.spec.SerializeToString(deterministic=True),
            inputs=await self._values(f"{where}/inputs", admitted.inputs),
            user_inputs=await self._values(f"{where}/user_inputs", given),
            definition=closure,
            principal=principal,
            max_parallelism=admitted.max_parallelism,
            parent=command.parent,
            root=envelope.correlation or envelope.stream,
            created_by=envelope.id,
            recovers=command.recovers,
        )

    async def _values(self, path: str, literals: Any) -> Values:
        data = literals.SerializeToString(deterministic=True)
        if len(data) <= self.inline_limit_bytes:
            return Values(
                inline=data, digest=hashlib.sha256(data).hexdigest(), size=len(data)
            )
        blob = await self.blobs.put(self.blobs.uri(path), data)
        return Values(uri=blob.uri, digest=blob.digest, size=blob.size)


def _plan_ref(ref: EntityRef) -> EntityRef:
    """Return the launch plan; a single task has one of its own (ref §2.4)."""
    name = f".flytegen.{ref.name}" if ref.kind == "TASK" else ref.name
    return EntityRef(
        kind="LAUNCH_PLAN",
        project=ref.project,
        domain=ref.domain,
        name=name,
        version=ref.version,
    )


def _from_json(text: str, plan: admission.LaunchPlan | None) -> literals_pb2.LiteralMap:
    plain_values = json.loads(text)
    if not isinstance(plain_values, dict):
        message = f"Expected a JSON object of inputs, but got {text[:40]!r}"
        raise ValueError(message)  # noqa: TRY004 - the caller refuses ValueErrors
    literals = literals_pb2.LiteralMap()
    for name, value in plain_values.items():
        if plan is not None and name in plan.expected_inputs.parameters:
            asked = plan.expected_inputs.parameters[name].var.type
            literals.literals[name].CopyFrom(json_values.to_literal(value, asked))
        else:
            literals.literals[name].scalar.primitive.string_value = str(value)
    return literals


def _spec(command: CreateExecution) -> execution_pb2.ExecutionSpec | Rejected:
    try:
        return execution_pb2.ExecutionSpec.FromString(command.spec)
    except DecodeError as error:
        return invalid(f"Expected an ExecutionSpec, but got other bytes: {error}")
