"""The engine's side of a template: starts tasks, and receives their exits."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from workers.plugins.process.fork_protocol import TaskCommand, TaskReply, TaskRequest

log_ = structlog.get_logger(__name__)

_REAPED_S = 5.0
"""How long the kernel may take to end a killed process."""


class TemplateDiedError(Exception):
    """The template exited, and its tasks with it."""


@dataclass(slots=True, eq=False)
class TaskProcess:
    """One task of a template: its process id, once known, and its exit code."""

    pid: asyncio.Future[int]
    code: asyncio.Future[int]

    async def wait(self) -> int:
        """Return the exit code, negative for a signal; raises TemplateDiedError."""
        return await asyncio.shield(self.code)

    async def stop(self, grace_s: float) -> None:
        """End the whole process group: by SIGTERM, then after `grace_s` by SIGKILL."""
        if not self.pid.done():
            self.pid.add_done_callback(_kill_once_known)
            return
        if not self._is_running:
            return
        signal_group(self.pid.result(), signal.SIGTERM)
        await asyncio.wait([self.code], timeout=grace_s)
        self.kill()
        await asyncio.wait([self.code], timeout=_REAPED_S)

    def kill(self) -> None:
        """End the whole process group by SIGKILL."""
        if self._is_running:
            signal_group(self.pid.result(), signal.SIGKILL)

    def lose(self) -> None:
        """Kill the task of a template that exited; waiting for it then raises."""
        self.kill()
        for future in (self.pid, self.code):
            if not future.done():
                future.set_exception(TemplateDiedError("The warm template exited"))
                future.exception()

    @property
    def _is_running(self) -> bool:
        if not self.pid.done() or self.pid.cancelled() or self.pid.exception():
            return False
        return not self.code.done()


def _kill_once_known(pid: asyncio.Future[int]) -> None:
    """Kill a process that was stopped before its id was known."""
    if not pid.cancelled() and not pid.exception():
        signal_group(pid.result(), signal.SIGKILL)


def signal_group(pid: int, number: int) -> None:
    """Signal a process group, or its leader if it hasn't created the group yet."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@dataclass(slots=True, eq=False)
class Template:
    """One warm template, and the tasks forked from it."""

    folder: Path
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    busy: int = 0
    alive: bool = True
    _ids: itertools.count[int] = field(default_factory=itertools.count)
    _tasks: dict[int, TaskProcess] = field(default_factory=dict)
    _listener: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Start to receive process ids and exit codes of tasks."""
        self._listener = asyncio.create_task(self._receive_replies())

    async def start_task(self, command: TaskCommand) -> TaskProcess:
        """Fork a task; return once its process exists. Raises TemplateDiedError."""
        if not self.alive:
            raise TemplateDiedError("Expected a warm template, but it has exited")
        request: TaskRequest = {**command, "id": next(self._ids)}
        loop = asyncio.get_running_loop()
        task = TaskProcess(loop.create_future(), loop.create_future())
        self._tasks[request["id"]] = task
        try:
            self._writer.write(json.dumps(request).encode() + b"\n")
            await self._writer.drain()
            await asyncio.shield(task.pid)
        except OSError as error:
            self._disconnect()
            raise TemplateDiedError(str(error)) from error
        except asyncio.CancelledError:
            await task.stop(0)
            raise
        return task

    async def _receive_replies(self) -> None:
        try:
            while line := await self._reader.readline():
                self._receive(json.loads(line))
        except (OSError, ValueError) as error:
            log_.warning("template_socket_error", error=str(error))
        finally:
            self._disconnect()

    def _receive(self, reply: TaskReply) -> None:
        task = self._tasks.get(reply["id"])
        if task is None:
            return
        if "pid" in reply:
            _set_once(task.pid, reply["pid"])
        if "code" in reply:
            del self._tasks[reply["id"]]
            _set_once(task.code, reply["code"])

    def _disconnect(self) -> None:
        """Treat the template as dead: kill its tasks and what they started."""
        self.alive = False
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.lose()
        self._writer.close()

    def close(self) -> None:
        """Let the template exit, with its tasks."""
        if self._listener is not None:
            self._listener.cancel()
        self._disconnect()


def _set_once(future: asyncio.Future[int], value: int) -> None:
    if not future.done():
        future.set_result(value)
