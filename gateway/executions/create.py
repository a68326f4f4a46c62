"""Creating executions: named, checked, large inputs stored as blobs, submitted."""

from __future__ import annotations

import secrets

import structlog
from flyteidl.admin import execution_pb2
from msgspec.structs import replace

from domain import admission
from domain.graph import entity_ref
from domain.registry.identity import check_part, is_label
from domain.text_limits import spec_violation
from gateway.registry.single_task import register_single_task
from gateway.services.container import Services
from gateway.services.errors import accepted, invalid
from infra.errors import InfraError
from schemas.ids import EntityRef, ExecutionRef, execution_stream
from schemas.messages.commands import CreateExecution

log_ = structlog.get_logger(__name__)

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_DRAWN_LENGTH = 19


async def create(
    services: Services,
    requested: ExecutionRef,
    spec: execution_pb2.ExecutionSpec,
    inputs: bytes,
    *,
    actor: str,
    recovers: ExecutionRef | None = None,
) -> ExecutionRef:
    """Create an execution; return its id, with a drawn name if none was requested.

    `inputs` is a serialized LiteralMap. What succeeded in the execution that it
    `recovers` isn't run again. The propeller decides on admission; only what is
    invalid by itself is refused here (ref §2.2).
    """
    command = _command(requested, spec, actor, services.clock.now_us(), recovers)
    ref = replace(requested, name=command.name)
    if command.launch_plan.kind == "TASK":
        await register_single_task(services, command.launch_plan)
    command = await _with_inputs(services, command, inputs)
    async with services.limits.slot(services.pool, command.launch_plan):
        await services.submit(
            execution_stream(ref), command, actor=actor, now_us=services.clock.now_us()
        )
    if command.inputs_uri is not None:  # The execution has a copy of its own by now.
        await _delete_inputs(services, command.inputs_uri)
    return ref


def _command(
    requested: ExecutionRef,
    spec: execution_pb2.ExecutionSpec,
    actor: str,
    now_us: int,
    recovers: ExecutionRef | None,
) -> CreateExecution:
    """Return the command, still without inputs; raises RpcError for an invalid one."""
    for part in (requested.project, requested.domain):
        if not is_label(part):
            raise invalid(f"Expected a project and a domain, but got '{part[:100]}'")
    wrong = spec_violation(spec)
    if wrong is not None:
        raise invalid(wrong)
    command = CreateExecution(
        project=requested.project,
        domain=requested.domain,
        name=requested.name or draw_name(),
        launch_plan=_target(spec),
        spec=_stored_spec(spec, actor),
        requested_at_us=now_us,
        recovers=recovers,
    )
    accepted(admission.check_ids(command))
    return command


async def _delete_inputs(services: Services, uri: str) -> None:
    """Delete a request's inputs; if that fails, the sweeper deletes them later."""
    try:
        await services.blobs.delete(uri)
    except (InfraError, OSError) as error:
        log_.warning("request_inputs_not_deleted", uri=uri, error=str(error))


def draw_name() -> str:
    """Draw a name as Flyte does (ref §2.2)."""
    return "a" + "".join(secrets.choice(_LETTERS) for _ in range(_DRAWN_LENGTH))


def _target(spec: execution_pb2.ExecutionSpec) -> EntityRef:
    target = entity_ref(spec.launch_plan)
    for part in ("project", "domain", "name", "version"):
        accepted(check_part(part, getattr(target, part)))
    return target


def _stored_spec(spec: execution_pb2.ExecutionSpec, actor: str) -> bytes:
    """Return the spec to store: without inputs, and with the caller as principal."""
    stored = execution_pb2.ExecutionSpec()
    stored.CopyFrom(spec)
    stored.ClearField("inputs")
    stored.metadata.principal = actor
    stored.metadata.ClearField("system_metadata")
    return stored.SerializeToString(deterministic=True)


async def _with_inputs(
    services: Services, command: CreateExecution, inputs: bytes
) -> CreateExecution:
    """Put inputs into the command, or into a blob if they are large."""
    if len(inputs) <= services.settings.inline_bytes_max:
        return replace(command, inputs=inputs)
    drawn = secrets.token_hex(8)
    path = f"metadata/requests/{command.project}/{command.domain}/{drawn}"
    blob = await services.blobs.put(services.blobs.uri(path), inputs)
    return replace(command, inputs_uri=blob.uri)
