"""Maps: over echo tasks of growing width, cached ones again, and child executions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.engines import client_of, engine, timed
from tests.bench.figure import Figure
from tests.support import raw
from tests.support.harness.engine_process import Running

WIDTHS = (100, 1_000, 10_000)
BASE = 1_000
MUST_S, AIM_S = 4, 2
SAME_WORK = 10_000  # elements
ROUNDS = 2
CHILDREN = 100
_GLANCE_S = 0.01
_FLYTE = "Flyte 5.4-6.4 s"


def maps(folder: Path, quick: bool) -> list[Figure]:
    """Measure one map of each width: its cost for each element mustn't grow."""
    widths = WIDTHS[:2] if quick else WIDTHS
    with engine(folder, "maps") as running:
        client = client_of(running)
        raw.register_map(client, "map")
        raw.register_map(client, "kept", cached=True)
        timed(client, "map", "map-warm", a=range(10))
        # In turn, and the best of each: the machine has slow moments of its own.
        rounds = [
            {width: _mean(client, f"{turn}-{width}", width, quick) for width in widths}
            for turn in range(1 if quick else ROUNDS)
        ]
        took = {width: min(each[width] for each in rounds) for width in widths}
        figures = [_figure(width, seconds) for width, seconds in took.items()]
        each = took[widths[-1]] / widths[-1] / (took[BASE] / BASE)
        what = f"an element at {widths[-1]:,} wide ÷ one at {BASE:,}"
        figures.append(Figure(what, each, "×", 1.2, 1.0))
        figures.append(_beside(running, widths[-1]))
        items = range(BASE)
        timed(client, "kept", "kept-0", a=items)
        again = timed(client, "kept", "kept-1", a=items)
        figures.append(Figure(f"map of {BASE:,} cache hits", again, "s"))
    return figures


def children(folder: Path, quick: bool) -> list[Figure]:
    """Measure child executions side by side: a map over a launch plan."""
    count = CHILDREN // 10 if quick else CHILDREN
    with engine(folder, "children") as running:
        client = client_of(running)
        raw.register_layers(client, "child", layers=1, width=1, returns=True)
        raw.register_map(client, "over", plan="child")
        timed(client, "over", "over-warm", a=range(2))
        took = timed(client, "over", "over-0", a=range(count))
    return [Figure(f"{count} child launch plans", took, "s")]


def _beside(running: Running, width: int) -> Figure:
    """Measure the slowest of the small executions that come while a map runs."""
    client = client_of(running)
    raw.register_layers(client, "small", layers=1, width=1)
    timed(client, "small", "small-warm")
    raw.create(client, "map", "map-beside", range(width))
    slowest, number = 0.0, 0
    while raw.wait(client, "map-beside", _GLANCE_S) == "RUNNING":
        slowest = max(slowest, timed(client, "small", f"small-{number}"))
        number += 1
    what = f"slowest small execution beside a map of {width:,}"
    return Figure(what, slowest, "s", 2, 1)


def _mean(client: Any, name: str, width: int, quick: bool) -> float:
    """Return seconds of one map: of as many elements in all at each width."""
    tries = 1 if quick else min(20, max(1, SAME_WORK // width))
    items: Sequence[int] = range(width)
    return statistics.fmean(
        timed(client, "map", f"map-{name}-{i}", a=items) for i in range(tries)
    )


def _figure(width: int, seconds: float) -> Figure:
    what = f"map of {width:,} echo tasks"
    if width != BASE:
        return Figure(what, seconds, "s")
    return Figure(what, seconds, "s", MUST_S, AIM_S, comparison=_FLYTE)
