"""Tasks that take virtual time: who ran what, when, and whether it was stopped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from flyteidl.core import tasks_pb2

from schemas.ids import attempt_id
from schemas.values import Values
from tests.support.virtual.process import CURRENT, Process
from workers.plugins.echo import echo
from workers.plugins.plugin import Result, Started, Succeeded, Work, element_index

DURATIONS_S = (0.0, 0.05, 0.5, 3.0, 20.0)


@dataclass(slots=True, eq=False)
class Run:
    """One run of an attempt, in a process; `ended_s` is None while it goes on."""

    attempt: str
    dispatch_no: int
    process: Process | None
    began_s: float
    ended_s: float | None = None
    is_aborted: bool = False

    @property
    def is_alive(self) -> bool:
        """Return whether it goes on: it ends with its process."""
        is_dead = self.process is not None and self.process.is_dead
        return self.ended_s is None and not is_dead


@dataclass(slots=True)
class Runs:
    """All runs of all runners; how long a task takes depends on the seed."""

    seed: int
    durations_s: tuple[float, ...] = DURATIONS_S
    all: list[Run] = field(default_factory=list)

    def duration_s(self, attempt: str) -> float:
        """Return how long an attempt takes, the same on each runner."""
        return random.Random(f"{self.seed} {attempt}").choice(self.durations_s)

    def of(self, attempt: str) -> list[Run]:
        """Return the runs of an attempt."""
        return [run for run in self.all if run.attempt == attempt]


@dataclass(slots=True)
class TimedTasks:
    """A plugin of one runner: tasks pass their input on, after a while."""

    runs: Runs
    slots: asyncio.Semaphore
    running: dict[str, Run] = field(default_factory=dict)
    time: Callable[[], float] = field(
        default_factory=lambda: asyncio.get_running_loop().time
    )

    async def start(self, work: Work) -> Started:
        """Start the work once there is a slot."""
        await self.slots.acquire()
        try:
            await work.may_start()
        except BaseException:
            self.slots.release()
            raise
        dispatch = work.dispatch
        attempt = attempt_id(dispatch.stream, dispatch.node_id, dispatch.attempt)
        run = Run(attempt, dispatch.dispatch_no, CURRENT.get(), self.time())
        self.running[work.key] = run
        self.runs.all.append(run)
        return Started()

    async def watch(self, work: Work) -> Result:
        """Let the task's time pass."""
        run = self.running[work.key]
        await asyncio.sleep(self.runs.duration_s(run.attempt))
        run.ended_s = self.time()
        template = tasks_pb2.TaskTemplate.FromString(work.dispatch.template)
        inputs = work.dispatch.inputs.inline or b""
        outputs = echo(template, inputs, element_index(work.dispatch))
        assert isinstance(outputs, bytes)
        return Succeeded(outputs=Values(inline=outputs))

    async def abort(self, work: Work) -> None:
        """Stop the work."""
        run = self.running.get(work.key)
        if run is not None and run.ended_s is None:
            run.ended_s, run.is_aborted = self.time(), True

    async def finalize(self, work: Work) -> None:
        """Release the slot."""
        if self.running.pop(work.key, None) is not None:
            self.slots.release()
