"""The process plugin: tasks as processes of this machine, forked from warm templates.

It isolates nothing: a task can do whatever the engine's user can.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog
from flyteidl.core import tasks_pb2
from msgspec.structs import replace

from infra.blobs.files import Blobs
from infra.errors import InfraError
from infra.settings import ProcessSettings
from schemas.messages.dispatches import RunTask
from schemas.messages.rejections import Rejected
from schemas.values import TaskLog
from workers.plugins.outputs import Made, deck_uri, exited, read_result
from workers.plugins.plugin import (
    Begun,
    Failed,
    Result,
    Work,
    failed,
    interrupted,
)
from workers.plugins.pods import container_of, takes_slot
from workers.plugins.process.checkpoints import resuming
from workers.plugins.process.code_bundles import (
    NO_BUNDLE,
    BundleDamagedError,
    flytekit_command,
    mirror,
)
from workers.plugins.process.command_rendering import (
    Command,
    asks_for_template,
    render_command,
    template_path,
)
from workers.plugins.process.fork_server import (
    Job,
    Template,
    TemplateDiedError,
    UnusablePythonError,
)
from workers.plugins.process.raw_container import RawContainer, chunks_of
from workers.plugins.process.slots import Slots
from workers.plugins.process.template_pool import Templates

log_ = structlog.get_logger(__name__)

LOG_FILE = "log.txt"
_LOG = "stdout and stderr"
_TAIL_BYTES = 4000


@dataclass(slots=True, eq=False)
class _Run:
    """One attempt from its slot to its end.

    Some take no slot (`workers/plugins/pods.py`).
    """

    work: Work
    declared: tuple[str, ...]
    log_path: Path
    scratch: Path
    begun: Begun
    takes_slot: bool
    raw: RawContainer | None = None
    template: Template | None = None
    job: Job | None = None


class Expands(Protocol):
    """Compiles what a dynamic task made."""

    async def expand(self, work: Work, spec_uri: str) -> Result:
        """Return the compiled workflow of a spec, or why there is none."""
        ...


@dataclass(slots=True, kw_only=True)
class ProcessPlugin:
    """Runs a container's own command without the container."""

    settings: ProcessSettings
    blobs: Blobs
    folder: Path
    base_env: Mapping[str, str]
    log_url: Callable[[RunTask], str]
    inline_limit: int
    output_bytes_max: int
    expander: Expands
    _runs: dict[str, _Run] = field(default_factory=dict)
    _slots: Slots = field(init=False)
    _templates: Templates = field(init=False)

    def __post_init__(self) -> None:
        """Begin with an empty folder: what an earlier engine left there is stale."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._slots = Slots(self.settings.concurrency)
        self._templates = Templates(
            settings=self.settings,
            folder=self.folder,
            fetch=self.blobs.local_copy,
            base_env=dict(self.base_env),
        )

    async def start(self, work: Work) -> Begun | Failed:
        """Begin an attempt once a slot is free; what can't be begun is refused."""
        known = self._runs.get(work.key)
        if known is not None:
            return known.begun
        template = tasks_pb2.TaskTemplate.FromString(work.dispatch.template)
        container = container_of(template)
        if container is None:
            message = f"Expected a container, but task type '{template.type}' has none"
            return failed("BadTaskDefinition", message)
        run = self._new_run(work, template)
        if run.takes_slot:
            await self._slots.acquire(work.dispatch.stream)
        self._runs[work.key] = run
        try:
            return await self._begin(run, template, container)
        except (BundleDamagedError, UnusablePythonError) as error:
            return failed("BadTaskDefinition", str(error), "SYSTEM")
        except TemplateDiedError as died:
            return interrupted("Interrupted", str(died))

    def _new_run(self, work: Work, template: Any) -> _Run:
        name = f"{work.dispatch.generated_name}-{work.dispatch.dispatch_no}"
        return _Run(
            work=work,
            declared=tuple(template.interface.outputs.variables),
            log_path=self._log_path(work, name),
            scratch=self.folder / "scratch" / name,
            begun=Begun(
                logs=(TaskLog(name=_LOG, uri=self.log_url(work.dispatch)),),
                deck_uri=deck_uri(work.output_prefix)
                if template.metadata.generates_deck.value
                else "",
            ),
            takes_slot=takes_slot(template),
        )

    def _log_path(self, work: Work, name: str) -> Path:
        """Return the log's file: the blob itself where blobs are files."""
        if work.output_prefix.startswith("/"):
            return Path(work.output_prefix) / LOG_FILE
        return self.folder / "logs" / name / LOG_FILE

    async def _begin(self, run: _Run, template: Any, container: Any) -> Begun | Failed:
        inputs = await self._prepare(run)
        if asks_for_template((*container.command, *container.args)):
            await self.blobs.put(template_path(run.work), run.work.dispatch.template)
        work = await resuming(run.work, self.blobs)
        command = render_command(work, container, inputs, self.base_env)
        if isinstance(command, Rejected):
            return failed("BadTaskDefinition", command.detail)
        if container.data_config.enabled:
            where = (run.scratch, self.blobs)
            run.raw = RawContainer(container.data_config, template.interface, *where)
            await run.raw.lay_out(inputs)
            command = run.raw.told(command)
        request = await self._request(run, command)
        if isinstance(request, Failed):
            return request
        assert run.template is not None  # noqa: S101 - the request is for it
        run.job = await run.template.begin(request)
        return run.begun

    async def _prepare(self, run: _Run) -> bytes:
        """Put everything in place; return the inputs."""
        work, given = run.work, run.work.dispatch.inputs
        for folder in (run.scratch, run.log_path.parent):
            folder.mkdir(parents=True, exist_ok=True)
        inputs = given.inline
        if inputs is None:
            inputs = await self.blobs.get(given.uri)
        if given.uri != work.input_uri:
            await self.blobs.put(work.input_uri, inputs)
        return inputs

    async def _request(self, run: _Run, command: Command) -> dict[str, Any] | Failed:
        """Return what to tell the template of the command's kind; takes it up."""
        flytekit = flytekit_command(command.words)
        env = {**command.env, "TMPDIR": str(run.scratch)}
        request = {
            "args": list(flytekit.words if flytekit else command.words),
            "exec": flytekit is None,
            "cwd": str(run.scratch),
            "log": str(run.log_path),
            "module": flytekit.module if flytekit else "",
        }
        if flytekit is None:
            found = _unexecutable(command)
            if found is not None:
                return found
            run.template = await self._templates.plain()
        else:
            bundle = flytekit.bundle and self.blobs.uri(flytekit.bundle)
            run.template = template = await self._templates.warm(
                bundle, command.own_env
            )
            env["PYTHONPATH"] = self._templates.python_path(template, env)
            if bundle:
                own = run.scratch / "cwd"
                await asyncio.to_thread(mirror, template.folder, own)
                request["cwd"] = str(own)
        return {**request, "env": env}

    async def watch(self, work: Work) -> Result:
        """Wait for the end of an attempt, and read what it left."""
        run = self._runs.get(work.key)
        if run is None or run.job is None:
            message = f"Expected a process for {work.key}, but there is none"
            return interrupted("Interrupted", message)
        try:
            code = await run.job.ended()
        except TemplateDiedError as died:
            return _with_logs(interrupted("Interrupted", str(died)), run)
        self._templates.proven()
        if code != 0:
            return _with_logs(exited(code, _tail(run.log_path)), run)
        if run.raw is not None and (wrong := await run.raw.collect(work)):
            return _with_logs(wrong, run)
        result = await read_result(
            self.blobs,
            work.output_prefix,
            run.declared,
            inline_limit=self.inline_limit,
            bytes_max=self.output_bytes_max,
        )
        if isinstance(result, Made):
            result = await self._expanded(work, result)
        return _with_logs(result, run)

    async def _expanded(self, work: Work, made: Made) -> Result:
        expanded = await self.expander.expand(work, made.spec_uri)
        return replace(expanded, deck_uri=made.deck_uri)

    async def abort(self, work: Work) -> None:
        """Stop an attempt's whole process group."""
        run = self._runs.get(work.key)
        if run is not None and run.job is not None:
            await run.job.stop(self.settings.kill_grace_s)

    async def finalize(self, work: Work) -> None:
        """Give the slot back, and forget the attempt's scratch folder."""
        run = self._runs.pop(work.key, None)
        if run is None:
            return
        if run.takes_slot:
            self._slots.release()
        await self._keep_log(run)
        if run.template is not None:
            self._templates.release(run.template)
        await asyncio.to_thread(shutil.rmtree, run.scratch, ignore_errors=True)

    async def _keep_log(self, run: _Run) -> None:
        """Store the log of an attempt that has ended, where blobs aren't files."""
        if run.log_path.is_relative_to(self.folder) and run.log_path.exists():
            uri = f"{run.work.output_prefix}/{LOG_FILE}"
            chunks = chunks_of(run.log_path)
            try:
                await self.blobs.put_stream(uri, chunks, self.output_bytes_max)
            except InfraError as error:
                log_.warning("log_not_kept", uri=uri, error=str(error))
            await asyncio.to_thread(shutil.rmtree, run.log_path.parent)

    async def warm_up(self) -> None:
        """Import flytekit, so that a first task needn't wait for it."""
        try:
            self._templates.release(await self._templates.warm(NO_BUNDLE, {}))
        except (UnusablePythonError, TemplateDiedError) as error:
            log_.warning("no_warm_template", error=str(error))

    def close(self) -> None:
        """End every template, and so every task, at once."""
        for run in self._runs.values():
            if run.job is not None:
                run.job.kill()
        self._templates.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _unexecutable(command: Command) -> Failed | None:
    if not command.words:
        message = "Expected a command, but the container has neither command nor args"
        return failed("BadTaskDefinition", message)
    program = command.words[0]
    if shutil.which(program, path=command.env.get("PATH")) is None:
        message = f"Expected to run '{program}', but there is no such program here"
        return failed("BadTaskDefinition", message)
    return None


def _with_logs(result: Result, run: _Run) -> Result:
    found = replace(result, logs=run.begun.logs)
    if isinstance(found, Failed):
        return replace(found, deck_uri=run.begun.deck_uri)
    return found


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return log.read(_TAIL_BYTES).decode(errors="replace")
    except OSError:
        return ""
