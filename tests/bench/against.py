"""Two trees compared: an engine of each runs, and they are measured in turn.

Figures of one tree, measured twice, differ by a third where the machine does, in speed
or in load. Engines that run side by side share that: the median of their ratios tells
two hundredths.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import chains
from tests.bench.engines import client_of, engine, timed, wait_all
from tests.bench.load import create_many
from tests.support import raw
from tests.support.harness.engine_process import Running

ROUNDS = 15
_BURST = 200
_HITS = 100
_WIDTH = 300
_CHILDREN = 10
_FIBONACCI = 5
_SETTLE_S = 0.3
"""Lets an engine end what it still does, before the other one is measured."""

Take = Callable[[Any, str], float]
"""Does some work with a client, under a new name; returns the seconds it took."""


@dataclass(frozen=True)
class Comparison:
    """The seconds of some work by both trees, and the median of their ratios.

    `ratio` is this tree's by the other's: below 1 it is faster.
    """

    what: str
    other_s: float
    this_s: float
    ratio: float


def compare(other: Path, folder: Path, rounds: int) -> Iterator[Comparison]:
    """Compare a checkout with this one, by an embedded engine of each.

    This tree's workflows, clients and plugins of tests are used for both. Raises
    ValueError for a folder that is no checkout.
    """
    if not (other / "pyproject.toml").is_file():
        raise ValueError(f"Expected a checkout of Flightlog, but {other} is none")
    for plugin, prepare in (("echo", _prepare_echo), ("process", _prepare_python)):
        with ExitStack() as stack:
            clients: list[Any] = []
            works: Mapping[str, Take] = {}
            for side, tree in enumerate((other, Path.cwd())):
                place = folder / f"{plugin}-{side}"
                place.mkdir()
                with chdir(tree):  # Python finds the packages of its own folder first
                    path = str(Path.cwd())
                    running = stack.enter_context(
                        engine(place, "engine", plugin, PYTHONPATH=path)
                    )
                clients.append(client_of(running))
                works = prepare(running, place)
            for number, (what, take) in enumerate(works.items()):
                yield _compared(what, take, f"work{number}", clients, rounds)


def _compared(
    what: str, take: Take, name: str, clients: Sequence[Any], rounds: int
) -> Comparison:
    for client in clients:
        take(client, f"{name}-warm")
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            took[side].append(take(clients[side], f"{name}-{number}"))
            time.sleep(_SETTLE_S)
    ratios = [this / other for other, this in zip(*took, strict=True)]
    other_s, this_s = map(statistics.median, took)
    return Comparison(what, other_s, this_s, statistics.median(ratios))


def _prepare_echo(running: Running, folder: Path) -> Mapping[str, Take]:
    del folder
    client = client_of(running)
    raw.register_layers(client, "one", layers=1, width=1)
    raw.register_layers(client, "child", layers=1, width=1, returns=True)
    raw.register_layers(client, "row", layers=chains.CHAIN, width=1)
    raw.register_layers(client, "side", layers=1, width=chains.CHAIN)
    raw.register_layers(client, "kept", layers=_HITS, width=1, cached=True)
    raw.register_map(client, "kept-map", cached=True)
    raw.register_map(client, "over", plan="child")
    return {
        f"{_BURST} CreateExecution calls": _create,
        f"{_BURST} executions of one task": _run,
        f"{chains.CHAIN} sequential echo tasks": _execution("row"),
        f"{chains.CHAIN} parallel echo tasks": _execution("side"),
        f"{_HITS} cache hits in a chain": _execution("kept"),
        f"map of {_WIDTH} cache hits": _execution("kept-map", range(_WIDTH)),
        f"{_CHILDREN} child launch plans": _execution("over", range(_CHILDREN)),
    }


def _prepare_python(running: Running, folder: Path) -> Mapping[str, Take]:
    chains.register(running, folder / "chain", "chain_flow.py", chains.FLOW)
    chains.register(running, folder / "fib", "fib_flow.py", chains.DYNAMIC_FLOW)
    return {
        f"{chains.CHAIN} sequential Python tasks": _execution("chain_flow.chain"),
        f"fibonacci({_FIBONACCI}) by recursion": _execution("fib_flow.fib", _FIBONACCI),
    }


def _execution(plan: str, a: int | Sequence[int] = 1) -> Take:
    return lambda client, name: timed(client, plan, name, a=a)


def _create(client: Any, name: str) -> float:
    """Create many executions, by several clients at once; return the seconds."""
    took, names = create_many(client, name, _BURST)
    wait_all(client, names)
    return took


def _run(client: Any, name: str) -> float:
    began = time.monotonic()
    _, names = create_many(client, name, _BURST)
    wait_all(client, names)
    return time.monotonic() - began
