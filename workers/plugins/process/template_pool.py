"""The warm templates of this machine: opened when needed, the least used let go."""

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

import structlog

from infra.settings import ProcessSettings
from workers.plugins.process.code_bundles import NO_BUNDLE, unpack
from workers.plugins.process.fork_server import ForkServer, Template

log_ = structlog.get_logger(__name__)

_BACK_OFF_S = 0.5
_BACK_OFF_S_MAX = 30.0

Key = tuple[str, frozenset[tuple[str, str]]]
"""A code bundle, and the environment that the tasks' own part adds."""

_PLAIN: Key = ("plain", frozenset())


@dataclass(slots=True, eq=False)
class _Slot:
    """One template, perhaps still starting, and how many wait for it."""

    starting: asyncio.Task[Template]
    awaited: int = 0

    @property
    def has_failed(self) -> bool:
        """Tell whether it never came, or is gone."""
        task = self.starting
        if not task.done():
            return False
        if task.cancelled() or task.exception() is not None:
            return True
        return not task.result().alive

    @property
    def is_idle(self) -> bool:
        """Tell whether nobody would miss it."""
        if self.awaited or not self.starting.done():
            return False
        return self.has_failed or not self.starting.result().busy


@dataclass(slots=True, kw_only=True)
class Templates:
    """Templates by code bundle and environment, in two nurseries.

    One has imported flytekit; the other, the engine's own Python and tiny, runs plain
    commands. Whatever dies is started again, ever later until a task ends well.
    """

    settings: ProcessSettings
    folder: Path
    fetch: Callable[[str, Path], Awaitable[Path]]
    base_env: dict[str, str]
    _open: OrderedDict[Key, _Slot] = field(default_factory=OrderedDict)
    _nurseries: dict[str, ForkServer] = field(default_factory=dict)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _starts: dict[str, int] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def warm(self, bundle: str, own_env: Mapping[str, str]) -> Template:
        """Return the template of a bundle, one task busier.

        Raises BundleDamaged, PythonRefused, TemplateDied.
        """
        return await self._get((bundle, frozenset(own_env.items())))

    async def plain(self) -> Template:
        """Return the template of plain commands, one task busier."""
        return await self._get(_PLAIN)

    def python_path(self, template: Template, env: Mapping[str, str]) -> str:
        """Return the import path of a task and of the Pythons that it starts."""
        parts = (str(template.folder), *self.settings.path, env.get("PYTHONPATH", ""))
        return os.pathsep.join(part for part in parts if part)

    def proven(self) -> None:
        """Note that a task ended by itself: what is here works."""
        self._starts.clear()

    async def _get(self, key: Key) -> Template:
        slot = self._open.get(key)
        if slot is None or slot.has_failed:
            slot = self._open[key] = _Slot(asyncio.create_task(self._start(key)))
        self._open.move_to_end(key)
        slot.awaited += 1
        try:
            template = await asyncio.shield(slot.starting)
        finally:
            slot.awaited -= 1
        template.busy += 1
        return template

    def release(self, template: Template) -> None:
        """Note that a task is over; let the least used template go if it is idle."""
        template.busy -= 1
        for key, slot in list(self._open.items()):
            if len(self._open) <= self.settings.templates_max:
                return
            if slot.is_idle:
                del self._open[key]
                _let_go(slot)

    async def _start(self, key: Key) -> Template:
        bundle, own = key
        folder = self.folder / f"template-{next(self._numbers)}"
        is_plain = key == _PLAIN
        if bundle == NO_BUNDLE or is_plain:
            folder.mkdir(parents=True)
        else:
            archive = await self.fetch(bundle, self.folder / "bundles")
            name = bundle.rpartition("/")[2]
            await asyncio.to_thread(unpack, archive, folder, name)
        fork_server = await self._fork_server("plain" if is_plain else "flytekit")
        path = [] if bundle == NO_BUNDLE or is_plain else [str(folder)]
        return await fork_server.open(folder, dict(own), path)

    async def _fork_server(self, kind: str) -> ForkServer:
        async with self._starting:
            known = self._nurseries.get(kind)
            if known is not None and known.alive:
                return known
            if known is not None:
                known.kill()
            await self._hold_back(kind)
            fork_server = self._new_fork_server(kind)
            await fork_server.start(self.settings.template_start_s)
            self._nurseries[kind] = fork_server
            return fork_server

    def _new_fork_server(self, kind: str) -> ForkServer:
        if kind == "plain":
            python: tuple[str, ...] = (sys.executable, "-I", "-S")
            env = self.base_env
        else:
            python = (self.settings.python,)
            parts = (*self.settings.path, self.base_env.get("PYTHONPATH", ""))
            path = os.pathsep.join(part for part in parts if part)
            temporary = self.folder / "tmp"
            temporary.mkdir(parents=True, exist_ok=True)
            env = {**self.base_env, "PYTHONPATH": path, "TMPDIR": str(temporary)}
        return ForkServer(python, kind, self.folder, env)

    async def _hold_back(self, kind: str) -> None:
        """Wait before starting again what has died without doing any good."""
        starts = self._starts.get(kind, 0)
        self._starts[kind] = starts + 1
        if starts:
            wait_s = min(_BACK_OFF_S * 2.0 ** min(starts, 10), _BACK_OFF_S_MAX)
            log_.warning("template_restart_delayed", kind=kind, wait_s=wait_s)
            await asyncio.sleep(wait_s)

    def close(self) -> None:
        """End every template and both nurseries."""
        for slot in self._open.values():
            slot.starting.cancel()
            _let_go(slot)
        self._open.clear()
        for fork_server in self._nurseries.values():
            fork_server.kill()


def _let_go(slot: _Slot) -> None:
    if not slot.starting.done() or slot.has_failed:
        return
    template = slot.starting.result()
    template.hang_up()
    shutil.rmtree(template.folder, ignore_errors=True)
