"""The engine's side of a zygote: starts it, and forks templates from it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from workers.plugins.process.fork_protocol import TemplateRequest, ZygoteReply
from workers.plugins.process.template import Template, TemplateDiedError

ZygoteKind = Literal["flytekit", "plain"]
"""What a zygote has imported: flytekit, or nothing (to exec other programs)."""

SCRIPT = Path(__file__).parent / "zygote.py"
_LINE_MAX = 1 << 22
_REPLY_MAX = 1 << 16
_TAIL_BYTES = 2000


class UnusablePythonError(Exception):
    """The Python of the tasks can't be a zygote: retrying can't help."""


@dataclass(slots=True, eq=False)
class ForkServer:
    """A running zygote: templates are forked from it, so flytekit is imported once."""

    python: Sequence[str]
    kind: ZygoteKind
    folder: Path
    env: Mapping[str, str]
    _process: asyncio.subprocess.Process | None = None
    _control: socket.socket | None = None

    @property
    def alive(self) -> bool:
        """Return whether templates can be opened."""
        has_exited = self._process is None or self._process.returncode is not None
        return self._control is not None and not has_exited

    async def start(self, timeout_s: float) -> None:
        """Start the zygote and wait until it is warm.

        Raises UnusablePythonError, TemplateDiedError.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(0)
        self._control = ours
        with theirs, self._log_path.open("ab") as log:
            self._process = await self._spawn(theirs.fileno(), log)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                data = await loop.sock_recv(ours, _REPLY_MAX)
        except TimeoutError:
            data = b""
        except BaseException:
            self.kill()
            raise
        reply: ZygoteReply = json.loads(data) if data else {}
        if "ready" not in reply:
            self.kill()
            raise self._start_error(reply)

    async def _spawn(self, fd: int, log: IO[bytes]) -> asyncio.subprocess.Process:
        # PR_SET_PDEATHSIG watches the thread that spawns: the loop's lives longest.
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
            message = f"Cannot start Python '{self.python[0]}': {error}"
            raise UnusablePythonError(message) from error

    def _start_error(
        self, reply: ZygoteReply
    ) -> UnusablePythonError | TemplateDiedError:
        python = self.python[0]
        if "failed" in reply:
            message = f"Expected '{python}' to import flytekit, but: {reply['failed']}"
            return UnusablePythonError(message)
        data = self._log_path.read_bytes()[-_TAIL_BYTES:]
        tail = data.decode(errors="replace")
        return TemplateDiedError(f"Cannot start '{python}' as a zygote: {tail}")

    @property
    def _log_path(self) -> Path:
        return self.folder / f"{self.kind}.log"

    async def open_template(
        self, folder: Path, env: Mapping[str, str], path: Sequence[str]
    ) -> Template:
        """Fork a template that works in a folder; raises TemplateDiedError."""
        if self._control is None:
            raise TemplateDiedError("Expected a running zygote, but it wasn't started")
        ours, theirs = socket.socketpair()
        request: TemplateRequest = {
            "folder": str(folder),
            "env": dict(env),
            "path": list(path),
        }
        with theirs:
            try:
                socket.send_fds(
                    self._control, [json.dumps(request).encode()], [theirs.fileno()]
                )
            except OSError as error:
                ours.close()
                self.kill()
                raise TemplateDiedError(f"The zygote exited: {error}") from error
        reader, writer = await asyncio.open_connection(sock=ours, limit=_LINE_MAX)
        template = Template(folder, reader, writer)
        template.listen()
        return template

    def kill(self) -> None:
        """End the zygote; templates and tasks end with it."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        if self._control is not None:
            self._control.close()
            self._control = None
