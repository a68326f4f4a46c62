"""A rolling replacement of every propeller under load: what it adds to each task."""

from __future__ import annotations

import time

from tests.bench.engines import client_of, timed, wait_all
from tests.bench.figure import Figure
from tests.bench.load import percentiles, steps
from tests.support import raw
from tests.support.harness.distributed import PROPELLER, Distributed

EXECUTIONS, LAYERS, WIDTH = 16, 400, 2
_BEFORE_S = 4.0
_WARM_S = 1.0


def replacing(engine: Distributed, quick: bool) -> list[Figure]:
    """Restart each propeller, one after the other; no execution fails."""
    client = client_of(engine)
    layers = LAYERS // 4 if quick else LAYERS
    raw.register_layers(client, "steady", layers=layers, width=WIDTH)
    raw.register_layers(client, "first", layers=1, width=1)
    timed(client, "first", "before-replacing")
    names = {raw.create(client, "steady", f"steady-{i}") for i in range(EXECUTIONS)}
    time.sleep(_WARM_S)
    loaded = time.time()
    time.sleep(_BEFORE_S / 4 if quick else _BEFORE_S)
    began = time.time()
    for propeller in engine.of(PROPELLER):
        propeller.stop()
        propeller.start()
        propeller.wait()
    ended = time.time()
    wait_all(client, names, limit_s=300)
    return _added(steps(engine, "steady"), loaded, began, ended)


def _added(
    found: list[tuple[float, float]], loaded: float, began: float, ended: float
) -> list[Figure]:
    """Compare the tasks that ended during the replacement with those just before."""
    before = [took for at, took in found if loaded <= at < began]
    during = [took for at, took in found if began <= at - took < ended]
    usual, most = percentiles(before), percentiles(during)
    what = "rolling replacement of 2 propellers: added to each task"
    return [
        Figure("rolling replacement of 2 propellers", ended - began, "s"),
        Figure(f"{what}, p50", most[0] - usual[0], "s"),
        Figure(f"{what}, p99", most[1] - usual[1], "s"),
        Figure(f"{what}, at most", max(during) - usual[0], "s", 10, 3),
    ]
