"""Executions of every shape, kept under way while faults happen, and their results."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from flytekit.exceptions.base import FlyteException
from flytekit.exceptions.system import FlyteSystemException

from tests.e2e.conftest import VERSION, client, register
from tests.history.journal import Journal, RecordedRemote
from tests.support.harness.distributed import Distributed

ENDING_S = 300.0
_ASK_S = 0.25
_AWAY = (FlyteException, FlyteSystemException)
_ENDED = {"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"}
_TERMINATED = 0.1
"""So many of the executions are terminated at once."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A workflow, its inputs, and what it must yield."""

    name: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]

    @property
    def kinds(self) -> dict[str, Any]:
        """Return the types of its outputs."""
        return {name: _kind(value) for name, value in self.outputs.items()}


SHAPES = (
    Shape("shapes_flow.shapes", {"a": 3}, {"o0": 18, "o1": 16, "o2": 6, "o3": 20}),
    Shape("dynamic_flow.looped", {"n": 4}, {"o0": 14}),
    Shape("dynamic_flow.fib", {"n": 4}, {"o0": 3}),
    Shape("arrays_flow.squares", {"xs": [1, 2, 3]}, {"o0": [1, 4, 9]}),
)
FILES = ("shapes_flow.py", "dynamic_flow.py", "arrays_flow.py")


@dataclass(slots=True)
class Started:
    """An execution that was begun, and since when."""

    execution: Any
    shape: Shape
    began: float = field(default_factory=time.monotonic)
    is_terminated: bool = False


@dataclass(slots=True, eq=False)
class Load:
    """A client in a thread: begins a new execution whenever one has ended."""

    engine: Distributed
    folder: Path
    seed: int
    under_way: int
    journal: Journal
    begun: int = 0
    ended: int = 0
    wrong: list[str] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Register the workflows and begin."""
        register(self.engine, self.folder, *FILES)
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Begin no more, and wait until all have ended or have had their time."""
        self._stopping.set()
        assert self._thread is not None
        self._thread.join(2 * ENDING_S)
        if self._thread.is_alive():
            self.wrong.append("Expected the client to end, but it waits for an answer")

    def _run(self) -> None:
        try:
            self._keep_under_way()
        except Exception as error:  # noqa: BLE001 - whatever ends the load is wrong
            self.wrong.append(f"Expected the load to go on, but: {error!r}")

    def _keep_under_way(self) -> None:
        remote = client(self.engine)
        plans = {
            shape.name: asked(
                partial(remote.fetch_launch_plan, name=shape.name, version=VERSION)
            )
            for shape in SHAPES
        }
        recorded = RecordedRemote(remote, self.journal, "load")
        draw, running = random.Random(self.seed), list[Started]()
        while running or not self._stopping.is_set():
            while len(running) < self.under_way and not self._stopping.is_set():
                shape = draw.choice(SHAPES)
                found = self._begin(recorded, shape, plans[shape.name])
                if draw.random() < _TERMINATED:
                    self._terminate(recorded, found)
                running.append(found)
            running = [one for one in running if not self._has_ended(recorded, one)]
            time.sleep(_ASK_S)

    def _begin(self, remote: RecordedRemote, shape: Shape, plan: Any) -> Started:
        """Begin an execution; a gateway that is away or times out is asked again."""
        name = f"chaos-{self.seed}-{self.begun}"
        self.begun += 1
        hints = {k: type(v) for k, v in shape.inputs.items() if not isinstance(v, list)}
        execution = asked(
            partial(remote.start, name, plan, shape.inputs, type_hints=hints)
        )
        return Started(execution, shape)

    def _terminate(self, remote: RecordedRemote, one: Started) -> None:
        """Terminate an execution, which may have ended before."""
        one.is_terminated = True
        with suppress(*_AWAY):
            remote.terminate(one.execution, "enough")

    def _has_ended(self, remote: RecordedRemote, one: Started) -> bool:
        """Return whether it is settled; what is wrong with it is noted."""
        name, phase = one.execution.id.name, ""
        with suppress(*_AWAY):
            phase = remote.phase(one.execution)
            if phase == "SUCCEEDED":
                phase = self._checked(remote, one)
        ended = phase in _ENDED
        if ended:
            self.ended += 1
            allowed = {"SUCCEEDED", "ABORTED"} if one.is_terminated else {"SUCCEEDED"}
            if phase not in allowed:
                why = f"it is {phase}: {_why(remote, one)}"
                self.wrong.append(f"Expected {name} to succeed, but {why}")
        elif time.monotonic() - one.began > ENDING_S:
            self.wrong.append(f"Expected {name} to end, but it is still under way")
            return True
        return ended

    def _checked(self, remote: RecordedRemote, one: Started) -> str:
        """Compare the outputs of what succeeded; '' if they can't be read now."""
        try:
            outputs = remote.outputs(one.execution, one.shape.kinds)
        except _AWAY:
            return ""
        if outputs != one.shape.outputs:
            expected = f"Expected {one.execution.id.name} to yield {one.shape.outputs}"
            self.wrong.append(f"{expected}, but got {outputs}")
        return "SUCCEEDED"


def _why(remote: RecordedRemote, one: Started) -> str:
    """Return the error of an execution that failed, as far as it can be read now."""
    with suppress(*_AWAY):
        error = remote.remote.client.get_execution(one.execution.id).closure.error
        return str(error.message) if error else "without an error"
    return "its error can't be read now"


def asked(call: Callable[[], Any], limit_s: float = ENDING_S) -> Any:
    """Return what a call answers, made again while the gateway is away."""
    until = time.monotonic() + limit_s
    while True:
        try:
            return call()
        except _AWAY:
            if time.monotonic() > until:
                raise
            time.sleep(_ASK_S)


def _kind(value: Any) -> Any:
    return list[int] if isinstance(value, list) else type(value)
