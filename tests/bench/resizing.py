"""Rebalances while many executions wait at gates: 2, then 4, then 1 propellers."""

from __future__ import annotations

import concurrent.futures as cf
import json
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flyteidl.admin import signal_pb2

from tests.bench.engines import client_of, wait_all
from tests.bench.figure import Figure
from tests.support import raw
from tests.support.harness.distributed import (
    GATEWAY,
    PROJECTOR,
    PROPELLER,
    RUNNER,
    Distributed,
    Role,
    distributed,
)

CLIENTS = 16
LIVE = 10_000
LOOK_S, SOON_S = 0.1, 300
ROLES = (GATEWAY, PROPELLER, PROPELLER, PROJECTOR, RUNNER)
SETTINGS = {"FLIGHTLOG_LOG_JSON": "true", "FLIGHTLOG_SNAPSHOTS__INTERVAL_S": "2"}


def resizing(folder: Path, quick: bool) -> list[Figure]:
    """Measure how long until all partitions are served again after a rebalance."""
    del folder
    live = LIVE // 50 if quick else LIVE
    with distributed(ROLES, **SETTINGS) as engine:
        names = waiting(engine, live)
        grown = grow(engine, live)
        shrunk = shrink(engine, live)
        release(engine, names)
        slowest = max(restores(engine.of(PROPELLER)))
    return [
        Figure(f"2 to 4 propellers, {live:,} executions at gates", grown, "s"),
        Figure("4 to 1 propellers (SIGTERM) with them", shrunk, "s", 10),
        Figure("slowest restore of a partition of four", slowest, "s", 10, 5),
    ]


def waiting(engine: Distributed, live: int) -> set[str]:
    """Create executions that wait at a gate; return their names once all do."""
    client = client_of(engine)
    raw.register_gate(client, "gate")
    with cf.ThreadPoolExecutor(CLIENTS) as pool:
        names = set(
            pool.map(lambda i: raw.create(client, "gate", f"gate-{i}"), range(live))
        )
    _served(engine.of(PROPELLER), live)
    return names


def grow(engine: Distributed, live: int) -> float:
    """Start two more propellers; return seconds until each serves its share."""
    began = time.monotonic()
    more = [engine.role(PROPELLER, 100 + number) for number in range(2)]
    for role in more:
        role.start()
        engine.roles.append(role)
    _served(engine.of(PROPELLER), live)
    return time.monotonic() - began


def shrink(engine: Distributed, live: int) -> float:
    """Stop all propellers but one; return seconds until that one serves everything."""
    began = time.monotonic()
    left, *others = engine.of(PROPELLER)
    for role in others:
        if role.process is not None and role.process.poll() is None:
            role.signal(signal.SIGTERM)
    for role in others:
        role.stop()
        engine.roles.remove(role)
    _served([left], live)
    return time.monotonic() - began


def release(engine: Distributed, names: set[str], limit_s: float = SOON_S) -> None:
    """Answer every gate, and wait until all executions have succeeded."""
    client = client_of(engine)
    with cf.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda name: _answer(client, name), names))
    wait_all(client, names, limit_s)


def _answer(client: Any, name: str) -> None:
    request = signal_pb2.SignalSetRequest()
    request.id.signal_id = "go"
    execution = request.id.execution_id
    execution.project, execution.domain, execution.name = raw.PROJECT, raw.DOMAIN, name
    request.value.scalar.primitive.integer = 7
    client.set_signal(request)


def restores(propellers: Sequence[Role]) -> list[float]:
    """Return the seconds that each restore of a partition took."""
    return [
        float(json.loads(line)["took_s"])
        for role in propellers
        for line in role.log.read_text().splitlines()
        if '"partition_restored"' in line
    ]


def _served(propellers: Sequence[Role], live: int) -> None:
    """Wait until these own all partitions, each some, with all that lives on them."""
    until = time.monotonic() + SOON_S
    while time.monotonic() < until:
        owned = [_metric(role, "partitions_owned") for role in propellers]
        alive = [_metric(role, "executions_active") for role in propellers]
        if all(owned) and (sum(owned), sum(alive)) == (4, live):
            return
        time.sleep(LOOK_S)
    raise RuntimeError(f"expected 4 partitions with {live}, but got {owned}, {alive}")


def _metric(role: Role, name: str) -> int:
    url = f"http://127.0.0.1:{role.http_port}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            told = reply.read().decode()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return 0
    found = re.search(rf"^flightlog_{name} (\S+)$", told, re.MULTILINE)
    return int(float(found[1])) if found else 0
