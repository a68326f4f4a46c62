"""The process plugin: tasks as processes of this machine, forked from warm templates.

Tasks are not sandboxed: they run with the permissions of the engine's user.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog
from flyteidl.core import tasks_pb2
from msgspec.structs import replace

from infra.blobs.files import Blobs, disk_errors_are_transient
from infra.retry import retry_transient
from infra.setting_sections.processes import ProcessSettings
from schemas.ids import local_folder
from schemas.messages.dispatches import RunTask
from schemas.messages.rejections import Rejected
from schemas.values import ErrorKind, TaskLog
from workers.plugins.outputs import (
    DynamicSpec,
    deck_address,
    exit_failure,
    read_result,
)
from workers.plugins.plugin import (
    Failed,
    Result,
    Started,
    Work,
    inline_max,
    permanent_failure,
    system_retryable_failure,
)
from workers.plugins.pods import container_of, takes_slot
from workers.plugins.process.attempt_log import AttemptLog
from workers.plugins.process.checkpoints import with_newest_checkpoint
from workers.plugins.process.code_bundles import (
    BundleDamagedError,
    FlytekitCommand,
    flytekit_command,
    link_entries,
)
from workers.plugins.process.command_rendering import (
    Command,
    render_command,
    template_path,
    uses_template_path,
)
from workers.plugins.process.fork_server import UnusablePythonError
from workers.plugins.process.raw_container import RawContainer
from workers.plugins.process.run_folder import remove_run_folder, with_outputs_beside
from workers.plugins.process.slots import Slots
from workers.plugins.process.template import TaskProcess, Template, TemplateDiedError
from workers.plugins.process.template_pool import TemplatePool

log_ = structlog.get_logger(__name__)

_LOG_NAME = "stdout and stderr"
_INPUTS = "inputs.pb"


@dataclass(slots=True, eq=False)
class _Run:
    """One attempt from its slot to its end."""

    work: Work
    declared: tuple[str, ...]
    log: AttemptLog
    scratch: Path
    started: Started
    takes_slot: bool
    raw: RawContainer | None = None
    template: Template | None = None
    process: TaskProcess | None = None

    def create_files(self, path: Path | None, inputs: bytes) -> None:
        """Create scratch folder, log, and a file of inputs; raises TransientError."""
        with disk_errors_are_transient():
            self.scratch.mkdir(parents=True, exist_ok=True)
            self.log.create()
            if path is not None:
                path.write_bytes(inputs)


class SpecCompiler(Protocol):
    """What compiles the workflows that dynamic tasks generate."""

    async def compile_spec(self, work: Work, spec_uri: str) -> Result:
        """Return the compiled workflow of a core.DynamicJobSpec, or a failure."""
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
    dynamic_compiler: SpecCompiler
    _runs: dict[str, _Run] = field(default_factory=dict)
    _slots: Slots = field(init=False)
    _templates: TemplatePool = field(init=False)

    def __post_init__(self) -> None:
        """Remove what an earlier engine left in the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._slots = Slots(self.settings.concurrency)
        self._templates = TemplatePool(
            settings=self.settings,
            folder=self.folder,
            fetch=self.blobs.local_copy,
            base_env=self.base_env,
        )

    async def start(self, work: Work) -> Started | Failed:
        """Start an attempt once a slot is free; some need none (`takes_slot`)."""
        known = self._runs.get(work.key)
        if known is not None:
            return known.started
        template = tasks_pb2.TaskTemplate.FromString(work.dispatch.template)
        container = container_of(template)
        if container is None:
            message = f"Expected a container, but task type '{template.type}' has none"
            return permanent_failure("BadTaskDefinition", message)
        run = self._new_run(work, template)
        if run.takes_slot:
            await self._slots.acquire(work.dispatch.stream)
            try:
                await work.may_start()
            except asyncio.CancelledError:
                self._slots.release()
                raise
        self._runs[work.key] = run
        try:
            return await self._start(run, template, container)
        except (BundleDamagedError, UnusablePythonError) as error:
            return permanent_failure("BadTaskDefinition", str(error), ErrorKind.SYSTEM)
        except TemplateDiedError as error:
            return system_retryable_failure("Interrupted", str(error))

    def _new_run(self, work: Work, template: tasks_pb2.TaskTemplate) -> _Run:
        name = local_folder(work.key)
        has_deck = template.metadata.generates_deck.value
        return _Run(
            work=work,
            declared=tuple(template.interface.outputs.variables),
            log=AttemptLog.of(work, self.folder / "logs" / name),
            scratch=self.folder / "scratch" / name,
            started=Started(
                logs=(TaskLog(name=_LOG_NAME, uri=self.log_url(work.dispatch)),),
                deck_uri=deck_address(work.output_prefix) if has_deck else None,
            ),
            takes_slot=takes_slot(template),
        )

    async def _start(
        self,
        run: _Run,
        template: tasks_pb2.TaskTemplate,
        container: tasks_pb2.Container,
    ) -> Started | Failed:
        inputs, input_uri = await self._prepare(run)
        if uses_template_path((*container.command, *container.args)):
            await self.blobs.put(template_path(run.work), run.work.dispatch.template)
        work = replace(run.work, input_uri=input_uri)
        work = await with_newest_checkpoint(work, self.blobs)
        command = render_command(work, container, inputs, self.base_env)
        if isinstance(command, Rejected):
            return permanent_failure("BadTaskDefinition", command.detail)
        if container.data_config.enabled:
            run.raw = RawContainer(
                container.data_config, template.interface, run.scratch, self.blobs
            )
            await run.raw.write_inputs(inputs)
            command = run.raw.with_own_folders(command)
        flytekit = flytekit_command(command.args)
        if flytekit is not None:
            await self._call_flytekit(run, command, flytekit)
            return run.started
        return await self._execute(run, command)

    async def _prepare(self, run: _Run) -> tuple[bytes, str]:
        """Create the attempt's files; return its inputs, and the address of theirs.

        Inputs need a file only until the attempt ends. On S3 it is an object, as a
        command may expect that.
        """
        given, uri = run.work.dispatch.inputs, run.work.input_uri
        inputs = given.inline
        if inputs is None:
            inputs = await self.blobs.get(given.uri)
        path = None
        if given.uri != uri and uri.startswith("/"):
            path = run.scratch / _INPUTS
        elif given.uri != uri:
            await self.blobs.put(uri, inputs)

        async def create() -> None:
            run.create_files(path, inputs)

        await retry_transient(create, "task_files_delayed")
        return inputs, uri if path is None else str(path)

    async def _execute(self, run: _Run, command: Command) -> Started | Failed:
        """Start a program; what can't be executed fails."""
        failure = _unexecutable(command)
        if failure is not None:
            return failure
        run.template = template = await self._templates.acquire_plain()
        run.process = await template.start_task(
            {
                "args": list(command.args),
                "exec": True,
                "env": {**command.env, "TMPDIR": str(run.scratch)},
                "cwd": str(run.scratch),
                "log": str(run.log.path),
                "module": None,
            }
        )
        return run.started

    async def _call_flytekit(
        self, run: _Run, command: Command, flytekit: FlytekitCommand
    ) -> None:
        """Start a process that calls a command of flytekit, beside its code."""
        bundle, cwd = flytekit.bundle, run.scratch
        if bundle is not None:
            bundle, cwd = self.blobs.uri(bundle), run.scratch / "cwd"
        template = await self._templates.acquire_warm(bundle, command.own_env)
        run.template = template
        env = {**command.env, "TMPDIR": str(run.scratch)}
        env["PYTHONPATH"] = self._templates.python_path(template, env)
        if bundle is not None:
            await asyncio.to_thread(link_entries, template.folder, cwd)
        run.process = await template.start_task(
            {
                "args": list(flytekit.args),
                "exec": False,
                "env": env,
                "cwd": str(cwd),
                "log": str(run.log.path),
                "module": flytekit.module,
            }
        )

    async def watch(self, work: Work) -> Result:
        """Wait for the end of an attempt, and read what it wrote."""
        run = self._runs.get(work.key)
        if run is None or run.process is None:
            message = f"Expected a process for {work.key}, but there is none"
            return system_retryable_failure("Interrupted", message)
        result = await self._result(run, run.process)
        if isinstance(result, Failed):
            deck_uri = run.started.deck_uri
            return replace(result, logs=run.started.logs, deck_uri=deck_uri)
        return replace(result, logs=run.started.logs)

    async def _result(self, run: _Run, process: TaskProcess) -> Result:
        work = run.work
        try:
            code = await process.wait()
        except TemplateDiedError as error:
            return system_retryable_failure("Interrupted", str(error))
        self._templates.reset_back_off()
        if code != 0:
            return exit_failure(code, run.log.tail())
        if run.raw is not None and (failure := await run.raw.store_outputs(work)):
            return failure
        result = await read_result(
            self.blobs,
            work.output_prefix,
            run.declared,
            inline_limit=inline_max(work.dispatch, self.inline_limit),
            bytes_max=self.output_bytes_max,
        )
        if isinstance(result, DynamicSpec):
            compiled = await self.dynamic_compiler.compile_spec(work, result.spec_uri)
            return replace(compiled, deck_uri=result.deck_uri)
        return with_outputs_beside(result, work.output_prefix)

    async def abort(self, work: Work) -> None:
        """Stop an attempt's whole process group."""
        run = self._runs.get(work.key)
        if run is not None and run.process is not None:
            await run.process.stop(self.settings.kill_grace_s)

    async def finalize(self, work: Work) -> None:
        """Release slot and template, store the log, remove what is of no more use."""
        run = self._runs.pop(work.key, None)
        if run is None:
            return
        if run.takes_slot:
            self._slots.release()
        await run.log.store(self.blobs, self.output_bytes_max)
        remove_run_folder(work.output_prefix)
        if run.template is not None:
            self._templates.release(run.template)
        await asyncio.to_thread(shutil.rmtree, run.scratch, ignore_errors=True)

    async def warm_up(self) -> None:
        """Import flytekit now, so that a first task needn't wait for it."""
        try:
            self._templates.release(await self._templates.acquire_warm(None, {}))
        except (UnusablePythonError, TemplateDiedError) as error:
            log_.warning("template_warm_up_failed", error=str(error))

    def close(self) -> None:
        """End every template, and so every task, at once."""
        for run in self._runs.values():
            if run.process is not None:
                run.process.kill()
        self._templates.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _unexecutable(command: Command) -> Failed | None:
    """Return the failure of a command without a program that is found."""
    if not command.args:
        message = "Expected a command, but the container has neither command nor args"
        return permanent_failure("BadTaskDefinition", message)
    program = command.args[0]
    if shutil.which(program, path=command.env.get("PATH")) is None:
        message = f"Expected to run '{program}', but there is no such program here"
        return permanent_failure("BadTaskDefinition", message)
    return None
