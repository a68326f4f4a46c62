"""The warm templates of this machine: opened on demand, the least used closed."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import structlog

from infra.setting_sections.processes import ProcessSettings
from workers.plugins.process.code_bundles import unpack
from workers.plugins.process.fork_server import ForkServer, ZygoteKind
from workers.plugins.process.template import Template

log_ = structlog.get_logger(__name__)

_BACK_OFF_S = 0.5
_BACK_OFF_S_MAX = 30.0
_DOUBLINGS_MAX = 10


class TemplateKey(NamedTuple):
    """What tasks share if they can be forked from one template."""

    kind: ZygoteKind
    bundle: str | None = None
    own_env: frozenset[tuple[str, str]] = frozenset()


_PLAIN = TemplateKey("plain")


@dataclass(slots=True, eq=False)
class _Entry:
    """One template, perhaps still starting, and how many callers wait for it."""

    starting: asyncio.Task[Template]
    waiters: int = 0

    @property
    def has_failed(self) -> bool:
        """Return whether it didn't start, or has exited."""
        task = self.starting
        if not task.done():
            return False
        if task.cancelled() or task.exception() is not None:
            return True
        return not task.result().alive

    @property
    def is_idle(self) -> bool:
        """Return whether it can be closed."""
        if self.waiters or not self.starting.done():
            return False
        return self.has_failed or not self.starting.result().busy

    def close(self) -> None:
        """Close the template, if it runs."""
        if not self.starting.done() or self.has_failed:
            return
        template = self.starting.result()
        template.close()
        shutil.rmtree(template.folder, ignore_errors=True)


@dataclass(slots=True, kw_only=True)
class TemplatePool:
    """Templates by code bundle and environment, forked from two zygotes.

    One has imported flytekit; the other, of the engine's own Python and tiny, runs
    plain commands. What exits is started again, later each time until a task has ended.
    """

    settings: ProcessSettings
    folder: Path
    fetch: Callable[[str, Path], Awaitable[Path]]
    base_env: Mapping[str, str]
    _entries: OrderedDict[TemplateKey, _Entry] = field(default_factory=OrderedDict)
    _fork_servers: dict[ZygoteKind, ForkServer] = field(default_factory=dict)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _starts: dict[ZygoteKind, int] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def acquire_warm(
        self, bundle: str | None, own_env: Mapping[str, str]
    ) -> Template:
        """Return the template of a bundle, and count one more task on it.

        Raises BundleDamagedError, UnusablePythonError, TemplateDiedError.
        """
        key = TemplateKey("flytekit", bundle, frozenset(own_env.items()))
        return await self._acquire(key)

    async def acquire_plain(self) -> Template:
        """Return the template of plain commands, and count one more task on it."""
        return await self._acquire(_PLAIN)

    def python_path(self, template: Template, env: Mapping[str, str]) -> str:
        """Return the PYTHONPATH of a task and of the Pythons that it starts."""
        return self._search_path(env, str(template.folder))

    def _search_path(self, env: Mapping[str, str], *first: str) -> str:
        parts = (*first, *self.settings.python_path, env.get("PYTHONPATH", ""))
        return os.pathsep.join(part for part in parts if part)

    def reset_back_off(self) -> None:
        """Note that a task has ended by itself: templates and zygotes work."""
        self._starts.clear()

    async def _acquire(self, key: TemplateKey) -> Template:
        entry = self._entries.get(key)
        if entry is None or entry.has_failed:
            starting = asyncio.create_task(self._start_template(key))
            entry = self._entries[key] = _Entry(starting)
        self._entries.move_to_end(key)
        entry.waiters += 1
        try:
            template = await asyncio.shield(entry.starting)
        finally:
            entry.waiters -= 1
        template.busy += 1
        return template

    def release(self, template: Template) -> None:
        """Note that a task has ended; close the least used templates beyond the limit.

        Only idle ones are closed.
        """
        template.busy -= 1
        for key, entry in list(self._entries.items()):
            if len(self._entries) <= self.settings.templates_max:
                return
            if entry.is_idle:
                del self._entries[key]
                entry.close()

    async def _start_template(self, key: TemplateKey) -> Template:
        folder = self.folder / f"template-{next(self._numbers)}"
        path = []
        if key.bundle is None:
            folder.mkdir(parents=True)
        else:
            archive = await self.fetch(key.bundle, self.folder / "bundles")
            name = key.bundle.rpartition("/")[2]
            await asyncio.to_thread(unpack, archive, folder, name)
            path.append(str(folder))
        fork_server = await self._fork_server(key.kind)
        return await fork_server.open_template(folder, dict(key.own_env), path)

    async def _fork_server(self, kind: ZygoteKind) -> ForkServer:
        async with self._starting:
            known = self._fork_servers.get(kind)
            if known is not None and known.alive:
                return known
            if known is not None:
                known.kill()
            await self._back_off(kind)
            fork_server = self._new_fork_server(kind)
            await fork_server.start(self.settings.template_start_timeout_s)
            self._fork_servers[kind] = fork_server
            return fork_server

    def _new_fork_server(self, kind: ZygoteKind) -> ForkServer:
        if kind == "plain":
            python = (sys.executable, "-I", "-S")
            return ForkServer(python, kind, self.folder, self.base_env)
        temporary = self.folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        env = {
            **self.base_env,
            "PYTHONPATH": self._search_path(self.base_env),
            "TMPDIR": str(temporary),
        }
        return ForkServer((self.settings.python,), kind, self.folder, env)

    async def _back_off(self, kind: ZygoteKind) -> None:
        """Wait before restarting a zygote from which no task has ended yet."""
        starts = self._starts.get(kind, 0)
        self._starts[kind] = starts + 1
        if starts:
            factor = 2.0 ** min(starts, _DOUBLINGS_MAX)
            wait_s = min(_BACK_OFF_S * factor, _BACK_OFF_S_MAX)
            log_.warning("template_restart_delayed", kind=kind, wait_s=wait_s)
            await asyncio.sleep(wait_s)

    def close(self) -> None:
        """End every template and both zygotes."""
        for entry in self._entries.values():
            entry.starting.cancel()
            entry.close()
        self._entries.clear()
        for fork_server in self._fork_servers.values():
            fork_server.kill()
