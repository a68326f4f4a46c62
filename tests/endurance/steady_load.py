"""Executions that are created all the time, whose tasks write down that they ran."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig
from flytekit.exceptions.base import FlyteException
from flytekit.exceptions.user import FlyteEntityAlreadyExistsException

from tests.support.raw import create, layers_workflow, register_plan, sleep_task, wait

PLAN, LAYERS, WIDTH, TASK_S = "steady", 3, 2, 0.4
_EACH_S = 1.0
_ENDING_S = 120.0
_NODE = re.compile(rf"{PLAN}-\d+/n\d+x\d+")


@dataclass(slots=True)
class SteadyLoad:
    """Creates an execution a second, in a thread, within a `with` block."""

    endpoint: str
    runs: Path
    names: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def _client(self) -> SynchronousFlyteClient:
        return SynchronousFlyteClient(
            PlatformConfig(endpoint=self.endpoint, insecure=True)
        )

    def __enter__(self) -> Self:
        """Register, and begin."""
        client = self._client()
        task = sleep_task(f"{PLAN}.t", TASK_S)
        command = f'echo "$0" >> {self.runs}; sleep {TASK_S}'
        del task.spec.template.container.command[:]
        task.spec.template.container.command.extend(["sh", "-c", command])
        task.spec.template.container.args.append("{{.outputPrefix}}")
        client._stub.CreateTask(task)
        client._stub.CreateWorkflow(
            layers_workflow(PLAN, f"{PLAN}.t", LAYERS, WIDTH, passing=False)
        )
        register_plan(client, PLAN)
        self._thread = threading.Thread(target=self._create_all, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Create no more."""
        self.end()

    def end(self) -> None:
        """Create no more; what was begun is still asked for until it is accepted."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_ENDING_S)

    def _create_all(self) -> None:
        client = self._client()
        while not self._stop.wait(_EACH_S):
            name = f"steady-{len(self.names)}"
            until = time.monotonic() + _ENDING_S
            while time.monotonic() < until:
                try:
                    create(client, PLAN, name)
                except FlyteEntityAlreadyExistsException:
                    break
                except FlyteException:
                    time.sleep(0.2)
                else:
                    break
            self.names.append(name)

    def check(self) -> None:
        """Check that everything succeeded, each task in one run."""
        self.end()
        assert self.names
        client = self._client()
        for name in self.names:
            assert wait(client, name, _ENDING_S) == "SUCCEEDED", name
        ran = Counter(_node(line) for line in self.runs.read_text().splitlines())
        assert {node: count for node, count in ran.items() if count > 1} == {}
        assert len(ran) == len(self.names) * LAYERS * WIDTH


def _node(output_prefix: str) -> str:
    """Return what runs of one node have in common: its execution, and its id."""
    found = _NODE.search(output_prefix)
    assert found is not None, output_prefix
    return found[0]
