"""The engine's side of a warm template: starts it, hands tasks in, hears of exits."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

log_ = structlog.get_logger(__name__)

SCRIPT = Path(__file__).parent / "warm_template.py"
_LINE_MAX = 1 << 22


class TemplateDied(Exception):  # noqa: N818 - named for what happened
    """The template ended; its tasks are gone with it."""


class Template:
    """One warm template process and the tasks forked from it."""

    def __init__(self, folder: Path, python: str, env: dict[str, str]) -> None:
        """Prepare; `start` runs it in this folder."""
        self.folder = folder
        self._python = python
        self._env = env
        self._ids = itertools.count()
        self._pids: dict[int, asyncio.Future[int]] = {}
        self._codes: dict[int, asyncio.Future[int]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self.busy = 0
        self.alive = False

    async def start(self, timeout_s: float) -> None:
        """Start the process and wait until it is warm; raises TemplateDied."""
        ours, theirs = socket.socketpair()
        log = (self.folder / "template.log").open("ab")
        with theirs, log:
            self._process = await asyncio.create_subprocess_exec(
                self._python,
                str(SCRIPT),
                str(theirs.fileno()),
                str(self.folder),
                pass_fds=[theirs.fileno()],
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LINE_MAX)
        try:
            async with asyncio.timeout(timeout_s):
                line = await reader.readline()
        except TimeoutError:
            line = b""
        if not line:
            self.kill()
            tail = (self.folder / "template.log").read_text(errors="replace")[-2000:]
            message = f"Expected a Python with flytekit, but it didn't start: {tail}"
            raise TemplateDied(message)
        self.alive = True
        self._listener = asyncio.create_task(self._listen(reader))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._hear(json.loads(line))
        finally:
            self.alive = False
            for future in (*self._pids.values(), *self._codes.values()):
                if not future.done():
                    future.set_exception(TemplateDied("The warm template ended"))

    def _hear(self, message: dict[str, Any]) -> None:
        table, value = (
            (self._codes, message["code"])
            if "code" in message
            else (self._pids, message["pid"])
        )
        future = table.pop(message["id"], None)
        if future is not None and not future.done():
            future.set_result(value)

    async def run(self, request: dict[str, Any], grace_s: float, started: Any) -> int:
        """Run one task to its end; return its exit code. Cancelling kills it."""
        number = next(self._ids)
        loop = asyncio.get_running_loop()
        self._pids[number] = pid_known = loop.create_future()
        self._codes[number] = code_known = loop.create_future()
        self.busy += 1
        pid = 0
        try:
            self._writer.write(json.dumps({**request, "id": number}).encode() + b"\n")
            await self._writer.drain()
            pid = await asyncio.shield(pid_known)
            await started()
            return int(await asyncio.shield(code_known))
        except asyncio.CancelledError:
            pid = pid or await pid_known
            await stop_group(pid, code_known, grace_s)
            raise
        except (ConnectionError, OSError) as error:
            raise TemplateDied(str(error)) from error
        finally:
            self.busy -= 1
            self._pids.pop(number, None)
            self._codes.pop(number, None)

    def kill(self) -> None:
        """End the template; its children die with it."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        if self._listener is not None:
            self._listener.cancel()


async def stop_group(pid: int, ended: asyncio.Future[int], grace_s: float) -> None:
    """End a whole process group: politely, then surely."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    await asyncio.wait([ended], timeout=grace_s)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if not ended.done():
        await asyncio.wait([ended], timeout=grace_s)
    if ended.done() and not ended.cancelled():
        ended.exception()
