"""The engine's side of warm templates: opens them, hands tasks in, hears of exits."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

log_ = structlog.get_logger(__name__)

SCRIPT = Path(__file__).parent / "zygote.py"
_LINE_MAX = 1 << 22
_REPLY_MAX = 1 << 16
_TAIL_BYTES = 2000
_REAPED_S = 5.0
"""How long the kernel may take to end what was killed."""


class TemplateDiedError(Exception):
    """The template ended; its tasks are gone with it."""


class UnusablePythonError(Exception):
    """The Python of the tasks can't be a template: trying again can't help."""


@dataclass(slots=True, eq=False)
class Job:
    """One task in a template: its process, once known, and its exit code."""

    pid: asyncio.Future[int]
    code: asyncio.Future[int]

    async def ended(self) -> int:
        """Wait for the exit code, negative for a signal; raises TemplateDied."""
        return await asyncio.shield(self.code)

    async def stop(self, grace_s: float) -> None:
        """End the whole process group: politely, then surely."""
        if not self.pid.done():
            self.pid.add_done_callback(_kill_unborn)
            return
        if not self._is_running:
            return
        signal_group(self.pid.result(), signal.SIGTERM)
        await asyncio.wait([self.code], timeout=grace_s)
        self.kill()
        await asyncio.wait([self.code], timeout=_REAPED_S)

    def kill(self) -> None:
        """End the whole process group now."""
        if self._is_running:
            signal_group(self.pid.result(), signal.SIGKILL)

    @property
    def _is_running(self) -> bool:
        if not self.pid.done() or self.pid.cancelled() or self.pid.exception():
            return False
        return not self.code.done()


def _kill_unborn(pid: asyncio.Future[int]) -> None:
    """Kill a process that was stopped before it was known."""
    if not pid.cancelled() and not pid.exception():
        signal_group(pid.result(), signal.SIGKILL)


def signal_group(pid: int, number: int) -> None:
    """Signal a process group, or its leader if it hasn't made the group yet."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@dataclass(slots=True, eq=False)
class Template:
    """One warm template and the tasks forked from it."""

    folder: Path
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    busy: int = 0
    alive: bool = True
    _ids: itertools.count[int] = field(default_factory=itertools.count)
    _jobs: dict[int, Job] = field(default_factory=dict)
    _listener: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Begin to hear of the tasks' processes and exits."""
        self._listener = asyncio.create_task(self._listen())

    async def begin(self, request: dict[str, Any]) -> Job:
        """Hand a task in; return once its process is there. Raises TemplateDied."""
        if not self.alive:
            raise TemplateDiedError("Expected a warm template, but it has ended")
        number = next(self._ids)
        loop = asyncio.get_running_loop()
        job = self._jobs[number] = Job(loop.create_future(), loop.create_future())
        try:
            self._writer.write(json.dumps({**request, "id": number}).encode() + b"\n")
            await self._writer.drain()
            await asyncio.shield(job.pid)
        except OSError as error:
            self._lose()
            raise TemplateDiedError(str(error)) from error
        except asyncio.CancelledError:
            await job.stop(0)
            raise
        return job

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                self._hear(json.loads(line))
        except (OSError, ValueError) as error:
            log_.warning("template_unheard", error=str(error))
        finally:
            self._lose()

    def _hear(self, message: dict[str, Any]) -> None:
        job = self._jobs.get(message["id"])
        if job is None:
            return
        if "pid" in message:
            _settle(job.pid, message["pid"])
        else:
            del self._jobs[message["id"]]
            _settle(job.code, message["code"])

    def _lose(self) -> None:
        """Take in that the template has ended: what its tasks started ends too."""
        self.alive = False
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            job.kill()
            for future in (job.pid, job.code):
                if not future.done():
                    future.set_exception(TemplateDiedError("The warm template ended"))
                    future.exception()
        self._writer.close()

    def hang_up(self) -> None:
        """Let the template end; it takes its tasks along."""
        if self._listener is not None:
            self._listener.cancel()
        self._lose()


def _settle(future: asyncio.Future[int], value: int) -> None:
    if not future.done():
        future.set_result(value)


@dataclass(slots=True, eq=False)
class ForkServer:
    """The process that templates are forked from: flytekit is imported once."""

    python: Sequence[str]
    kind: str
    folder: Path
    env: dict[str, str]
    _process: asyncio.subprocess.Process | None = None
    _control: socket.socket | None = None

    @property
    def alive(self) -> bool:
        """Tell whether templates can be opened."""
        has_ended = self._process is None or self._process.returncode is not None
        return self._control is not None and not has_ended

    async def start(self, timeout_s: float) -> None:
        """Start it, wait until it is warm; raises PythonRefused, TemplateDied."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(0)
        self._control = ours
        with theirs, self._log_path.open("ab") as log:
            self._process = await self._spawn(theirs.fileno(), log)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                reply = await loop.sock_recv(ours, _REPLY_MAX)
        except TimeoutError:
            reply = b""
        except BaseException:
            self.kill()
            raise
        said = json.loads(reply) if reply else {}
        if "ready" not in said:
            self.kill()
            self._refuse(said)

    async def _spawn(self, fd: int, log: Any) -> asyncio.subprocess.Process:
        # PR_SET_PDEATHSIG minds the thread that spawns: the loop's lives longest.
        arguments = (str(SCRIPT), str(fd), str(os.getpid()), self.kind)
        try:
            return await asyncio.create_subprocess_exec(
                *self.python,
                *arguments,
                pass_fds=[fd],
                env=self.env,
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            message = f"Expected a Python at '{self.python[0]}', but: {error}"
            raise UnusablePythonError(message) from error

    def _refuse(self, said: dict[str, Any]) -> None:
        if "failed" in said:
            message = (
                f"Expected '{self.python[0]}' to import flytekit, but: {said['failed']}"
            )
            raise UnusablePythonError(message)
        data = self._log_path.read_bytes()[-_TAIL_BYTES:]
        tail = data.decode(errors="replace")
        message = f"Expected '{self.python[0]}' to start, but it didn't: {tail}"
        raise TemplateDiedError(message)

    @property
    def _log_path(self) -> Path:
        return self.folder / f"{self.kind}.log"

    async def open(
        self, folder: Path, env: dict[str, str], path: Sequence[str]
    ) -> Template:
        """Fork a template that works in a folder; raises TemplateDied."""
        if self._control is None:
            raise TemplateDiedError("Expected a nursery, but it has not started")
        ours, theirs = socket.socketpair()
        request = {"folder": str(folder), "env": env, "path": list(path)}
        with theirs:
            try:
                socket.send_fds(
                    self._control, [json.dumps(request).encode()], [theirs.fileno()]
                )
            except OSError as error:
                ours.close()
                self.kill()
                raise TemplateDiedError(f"The nursery ended: {error}") from error
        reader, writer = await asyncio.open_connection(sock=ours, limit=_LINE_MAX)
        template = Template(folder, reader, writer)
        template.listen()
        return template

    def kill(self) -> None:
        """End it; templates and tasks end with it."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        if self._control is not None:
            self._control.close()
            self._control = None
