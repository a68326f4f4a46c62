"""Creating executions: named, checked, large inputs put aside, then submitted."""

from __future__ import annotations

import secrets
from typing import Any

import structlog
from flyteidl.admin import execution_pb2
from msgspec.structs import replace

from domain import admission
from domain.graph import entity_ref
from domain.registry.identity import check_part, is_label
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
    wanted: ExecutionRef,
    spec: Any,
    inputs: bytes,
    *,
    actor: str,
    recovers: ExecutionRef | None = None,
) -> ExecutionRef:
    """Create an execution of an admin.ExecutionSpec; return its id.

    A name is drawn where none is given. `inputs` is a serialized LiteralMap. What
    succeeded in the execution that it `recovers` isn't run again. The propeller
    admits; here is refused what needs no look at anything (ref §2.2).
    """
    for part in (wanted.project, wanted.domain):
        if not is_label(part):
            raise invalid(f"Expected a project and a domain, but got '{part[:100]}'")
    ref = wanted if wanted.name else replace(wanted, name=draw_name())
    command = CreateExecution(
        project=ref.project,
        domain=ref.domain,
        name=ref.name,
        launch_plan=_target(spec),
        spec=_kept(spec, actor),
        requested_at_us=services.clock.now_us(),
        recovers=recovers,
    )
    refused = admission.check_ids(command)
    if refused is not None:
        accepted(refused)
    if command.launch_plan.kind == "TASK":
        await register_single_task(services, command.launch_plan)
    command = await _with_inputs(services, command, inputs)
    async with services.limits.place(services.pool, command.launch_plan):
        await services.submit(
            execution_stream(ref), command, actor=actor, now_us=services.clock.now_us()
        )
    if command.inputs_uri is not None:  # The execution has a copy of its own by now.
        await _forget(services, command.inputs_uri)
    return ref


async def _forget(services: Services, uri: str) -> None:
    """Delete a request's inputs; what can't be deleted now is swept away later."""
    try:
        await services.blobs.delete(uri)
    except (InfraError, OSError) as error:
        log_.warning("request_inputs_not_deleted", uri=uri, error=str(error))


def draw_name() -> str:
    """Draw a name as Flyte does (ref §2.2)."""
    return "a" + "".join(secrets.choice(_LETTERS) for _ in range(_DRAWN_LENGTH))


def _target(spec: Any) -> EntityRef:
    target = entity_ref(spec.launch_plan)
    for part in ("project", "domain", "name", "version"):
        refused = check_part(part, getattr(target, part))
        if refused is not None:
            accepted(refused)
    return target


def _kept(spec: Any, actor: str) -> bytes:
    """Return what is kept of a spec: inputs go apart, and who calls isn't claimed."""
    kept = execution_pb2.ExecutionSpec()
    kept.CopyFrom(spec)
    kept.ClearField("inputs")
    kept.metadata.principal = actor
    kept.metadata.ClearField("system_metadata")
    data: bytes = kept.SerializeToString(deterministic=True)
    return data


async def _with_inputs(
    services: Services, command: CreateExecution, inputs: bytes
) -> CreateExecution:
    """Put inputs into the command, or beside it if they are large."""
    if len(inputs) <= services.settings.inline_bytes_max:
        return replace(command, inputs=inputs)
    drawn = secrets.token_hex(8)
    path = f"metadata/requests/{command.project}/{command.domain}/{drawn}"
    blob = await services.blobs.put(services.blobs.uri(path), inputs)
    return replace(command, inputs_uri=blob.uri)
