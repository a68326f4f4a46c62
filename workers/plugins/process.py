"""The process plugin: tasks as processes of this machine, forked from warm templates.

It isolates nothing: a task can do whatever the engine's user can.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tarfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from flyteidl.core import tasks_pb2

from infra.blobs import FileBlobs
from infra.settings import ProcessSettings
from schemas.dispatches import RunTask
from schemas.values import TaskLog
from workers.plugins.outputs import exited, read_result
from workers.plugins.plugin import Result, Started, failed
from workers.plugins.rendering import Places, environment, render
from workers.plugins.warm import Template, TemplateDied, stop_group

log_ = structlog.get_logger(__name__)

WARM = frozenset({"pyflyte-execute", "pyflyte-fast-execute", "pyflyte-map-execute"})
_TAIL_BYTES = 4000
NO_BUNDLE = ""


@dataclass(slots=True, kw_only=True)
class ProcessPlugin:
    """Runs a container's own command without the container."""

    settings: ProcessSettings
    blobs: FileBlobs
    folder: Path
    base_env: Mapping[str, str]
    log_url: Callable[[RunTask], str]
    inline_limit: int
    output_bytes_max: int
    _templates: OrderedDict[str, asyncio.Task[Template]] = field(
        default_factory=OrderedDict
    )
    _slots: asyncio.Semaphore | None = None

    async def run(self, dispatch: RunTask, prefix: str, started: Started) -> Result:
        """Run an attempt to its end; cancelling ends its whole process group."""
        if self._slots is None:
            self._slots = asyncio.Semaphore(self.settings.concurrency)
        async with self._slots:
            return await self._run(dispatch, prefix, started)

    async def _run(self, dispatch: RunTask, prefix: str, started: Started) -> Result:
        template = tasks_pb2.TaskTemplate.FromString(dispatch.template)
        if template.WhichOneof("target") != "container":
            return failed(
                "BadTaskDefinition",
                "Expected a container to run, "
                f"but task type '{template.type}' has none",
            )
        inputs, places = await self._prepare(dispatch, prefix)
        container = template.container
        words = [
            render(word, dispatch, places, inputs)
            for word in (*container.command, *container.args)
        ]
        env = environment(
            self.base_env, dispatch, {e.key: e.value for e in container.env}
        )
        logs = (TaskLog(name="stdout and stderr", uri=self.log_url(dispatch)),)
        log_path = Path(prefix) / "log.txt"

        async def begun() -> None:
            await started(logs)

        try:
            if words and words[0] in WARM:
                code = await self._warm(words, env, log_path, begun)
            else:
                code = await self._cold(words, env, log_path, begun)
        except TemplateDied as died:
            return exited(137, str(died), logs)
        except (OSError, ValueError) as error:
            return failed(
                "BadTaskDefinition", f"Expected a command to run, but {error}"
            )
        if code != 0:
            return exited(code, _tail(log_path), logs)
        return await read_result(
            self.blobs,
            prefix,
            has_outputs=bool(template.interface.outputs.variables),
            inline_limit=self.inline_limit,
            bytes_max=self.output_bytes_max,
            logs=logs,
        )

    async def _prepare(self, dispatch: RunTask, prefix: str) -> tuple[bytes, Places]:
        Path(prefix).mkdir(parents=True, exist_ok=True)
        uri = self.blobs.uri(dispatch.input_path)
        if dispatch.inputs.inline is not None:
            inputs = dispatch.inputs.inline
            await self.blobs.put(uri, inputs)
        else:
            uri = dispatch.inputs.uri
            inputs = await self.blobs.get(uri)
        raw = self.blobs.uri(dispatch.raw_output_prefix)
        places = Places(
            inputs=uri,
            output_prefix=prefix,
            raw_output_prefix=raw,
            previous_checkpoint=dispatch.previous_checkpoint,
        )
        return inputs, places

    async def _warm(
        self,
        words: list[str],
        env: dict[str, str],
        log_path: Path,
        begun: Callable[[], object],
    ) -> int:
        bundle, words = _unwrap(words)
        template = await self._template(bundle)
        env["PYTHONPATH"] = os.pathsep.join(
            p for p in (str(template.folder), env.get("PYTHONPATH", "")) if p
        )
        request = {
            "args": words,
            "env": env,
            "cwd": str(template.folder),
            "log": str(log_path),
            "module": _module(words),
        }
        return await template.run(request, self.settings.kill_grace_s, begun)

    async def _template(self, bundle: str) -> Template:
        """Return the warm template of a code bundle; the least used ones go."""
        known = self._templates.get(bundle)
        if known is not None and known.done() and not _lives(known):
            del self._templates[bundle]
            known = None
        if known is None:
            known = asyncio.create_task(self._start(bundle))
            self._templates[bundle] = known
        self._templates.move_to_end(bundle)
        template = await asyncio.shield(known)
        self._evict()
        return template

    def _evict(self) -> None:
        for bundle, task in list(self._templates.items()):
            if len(self._templates) <= self.settings.templates_max:
                return
            if task.done() and not task.exception() and not task.result().busy:
                task.result().kill()
                del self._templates[bundle]

    async def _start(self, bundle: str) -> Template:
        key = hashlib.sha256(bundle.encode()).hexdigest()[:16] if bundle else "none"
        folder = self.folder / key
        if bundle and not folder.exists():
            await asyncio.to_thread(_unpack, self.blobs.uri(bundle), folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join(
            (*self.settings.path, self.base_env.get("PYTHONPATH", ""))
        )
        env = {**self.base_env, "PYTHONPATH": path.strip(os.pathsep)}
        template = Template(folder, self.settings.python, env)
        await template.start(self.settings.template_start_s)
        return template

    async def warm_up(self) -> None:
        """Start the template without a bundle, so that a first task needn't wait."""
        with suppress(TemplateDied):
            await self._template(NO_BUNDLE)

    async def _cold(
        self,
        words: list[str],
        env: dict[str, str],
        log_path: Path,
        begun: Callable[[], object],
    ) -> int:
        """Run a command that isn't flytekit's as a plain process of its own group."""
        if not words:
            message = "the container has neither command nor args"
            raise ValueError(message)
        scratch = log_path.parent / "work"
        scratch.mkdir(exist_ok=True)
        with log_path.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *words,
                env=env,
                cwd=scratch,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        ended = asyncio.ensure_future(process.wait())
        try:
            await begun()  # type: ignore[misc]
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            await stop_group(process.pid, ended, self.settings.kill_grace_s)
            raise

    def close(self) -> None:
        """End every template, and so every task."""
        for task in self._templates.values():
            if task.done() and not task.cancelled() and not task.exception():
                task.result().kill()
            else:
                task.cancel()


def _lives(started: asyncio.Task[Template]) -> bool:
    if started.cancelled() or started.exception() is not None:
        return False
    return started.result().alive


def _unwrap(words: list[str]) -> tuple[str, list[str]]:
    """Split a fast-registered command into its code bundle and the inner command."""
    if words[0] != "pyflyte-fast-execute" or "--" not in words:
        return NO_BUNDLE, words
    at = words.index("--")
    options, inner = words[1:at], words[at + 1 :]
    given = dict(zip(options[::2], options[1::2], strict=False))
    bundle = given.get("--additional-distribution", "")
    extra = ["--dynamic-addl-distro", bundle]
    extra += ["--dynamic-dest-dir", given.get("--dest-dir", ".")]
    if inner and inner[0] in WARM:
        return bundle, [inner[0], *extra, *inner[1:]]
    return bundle, inner


def _module(words: list[str]) -> str:
    """Return the module that flytekit's default resolver will import."""
    if "task-module" in words:
        at = words.index("task-module") + 1
        return words[at] if at < len(words) else ""
    return ""


def _unpack(bundle: str, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part-{os.getpid()}")
    part.mkdir(parents=True, exist_ok=True)
    with tarfile.open(bundle) as archive:
        archive.extractall(part, filter="data")
    with suppress(OSError):
        part.rename(folder)


def _tail(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[-_TAIL_BYTES:]
    except OSError:
        return ""
