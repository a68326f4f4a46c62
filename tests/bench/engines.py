"""Engines of the bench's own, and the ways in which its clients wait."""

from __future__ import annotations

import statistics
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flyteidl.admin import common_pb2
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig

from tests.support import raw
from tests.support.harness.distributed import Distributed
from tests.support.harness.engine_process import Running

AnEngine = Running | Distributed
_PAGE = 100
_PAUSE_S = 0.05


@contextmanager
def engine(
    folder: Path, name: str, plugin: str = "echo", **env: str
) -> Iterator[Running]:
    """Run a fresh engine.

    Compiled modules are kept, as they are where pip installed them: an environment
    that forbids it would add a second and more to each start.
    """
    running = Running(
        folder / name,
        plugin=plugin,
        PYTHONDONTWRITEBYTECODE="",
        PYTHONPYCACHEPREFIX=str(folder / "pycache"),
        **env,
    )
    running.start()
    try:
        yield running
    finally:
        running.stop()


def client_of(running: AnEngine) -> Any:
    """Return flytekit's own client."""
    return SynchronousFlyteClient(
        PlatformConfig(endpoint=running.endpoint, insecure=True)
    )


def timed(
    client: Any,
    plan: str,
    name: str,
    limit_s: float = 600,
    a: int | Sequence[int] = 1,
) -> float:
    """Return the seconds from the create call to the end seen by polling."""
    began = time.monotonic()
    raw.create(client, plan, name, a)
    phase = raw.wait(client, name, limit_s, poll_s=0.01)
    if phase != "SUCCEEDED":
        raise RuntimeError(f"{name} ended {phase}")
    return time.monotonic() - began


def median_of(client: Any, plan: str, tries: int) -> float:
    """Return the median of several runs, after one that warms up."""
    name = plan.replace(".", "-").replace("_", "-")
    timed(client, plan, f"{name}-warm")
    return statistics.median(timed(client, plan, f"{name}-{i}") for i in range(tries))


def wait_all(client: Any, names: Collection[str], limit_s: float = 120) -> None:
    """Wait until all of these succeeded, by pages of the newest executions."""
    left, until = set(names), time.monotonic() + limit_s
    while left:
        if time.monotonic() > until:
            raise RuntimeError(f"{len(left)} executions haven't ended in {limit_s} s")
        left -= _succeeded(client, len(names))
        if left:
            time.sleep(_PAUSE_S)


def _succeeded(client: Any, count: int) -> set[str]:
    request = common_pb2.ResourceListRequest(limit=_PAGE, filters="eq(phase,SUCCEEDED)")
    request.id.project, request.id.domain = raw.PROJECT, raw.DOMAIN
    request.sort_by.key = "created_at"
    found: set[str] = set()
    while len(found) < count:
        page = client._stub.ListExecutions(request)
        found |= {execution.id.name for execution in page.executions}
        request.token = page.token
        if not page.token:
            break
    return found
