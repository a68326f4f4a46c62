"""A process in virtual time: what it runs can be frozen or killed at any await.

Everything that a process does is a callback of the event loop in a context that names
the process. Those of a frozen one wait until it thaws, those of a dead one never run:
as with SIGSTOP and SIGKILL no code of it notices anything, no `finally` is reached.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

CURRENT: contextvars.ContextVar[Process | None] = contextvars.ContextVar(
    "process", default=None
)

STARTED: list[Process] = []
"""Processes of the run of now: what they left behind is ended with it."""

Parked = tuple[list[asyncio.Handle], contextvars.Context, Callable[..., object], Any]


@dataclass(eq=False, slots=True)
class Process:
    """A process on a machine; `clock_us` is how far the machine's clock is off."""

    name: str
    is_frozen: bool = False
    is_dead: bool = False
    clock_us: int = 0
    _parked: list[Parked] = field(default_factory=list)
    _sockets: dict[int, int] = field(default_factory=dict)

    def start(self, main: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a program in this process."""
        context = contextvars.copy_context()
        context.run(CURRENT.set, self)
        STARTED.append(self)
        return asyncio.get_running_loop().create_task(main, context=context)

    def freeze(self) -> None:
        """Stop it where it is, as SIGSTOP does."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Let it go on, as SIGCONT does: what came meanwhile comes now."""
        self.is_frozen = False
        loop, parked = asyncio.get_running_loop(), self._parked
        self._parked = []
        for handle, context, callback, args in parked:
            if not handle[0].cancelled():
                loop.call_soon(callback, *args, context=context)

    def note_socket(self, fd: int) -> None:
        """Note a socket of this process, which ends with it."""
        self._sockets[fd] = os.fstat(fd).st_ino

    def kill(self) -> None:
        """End it, as SIGKILL does; who is at the other end of its sockets sees that."""
        self.is_dead = True
        for fd, number in self._sockets.items():
            with suppress(OSError):
                if os.fstat(fd).st_ino == number:
                    with socket.socket(fileno=os.dup(fd)) as own:
                        own.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Let what is left of it end, once the run is over."""
        self.is_dead = False
        self.thaw()

    def run(
        self,
        handle: list[asyncio.Handle],
        context: contextvars.Context,
        callback: Callable[..., object],
        *args: Any,
    ) -> None:
        """Run a callback of the event loop, now, later or never."""
        if self.is_frozen or self.is_dead:
            self._parked.append((handle, context, callback, args))
            return
        callback(*args)
