"""Roles killed, frozen and replaced under load: the log stays whole, work goes on."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig

from tests.e2e.test_kill import check_whole
from tests.support.harness.distributed import (
    GATEWAY,
    PROJECTOR,
    PROPELLER,
    QUICK,
    RUNNER,
    Distributed,
    distributed,
)
from tests.support.harness.unmeasured import UNMEASURED
from tests.support.raw import create, register_layers, wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SEED = 20261125
EXECUTIONS, LAYERS, WIDTH, TASK_S = 6, 10, 5, 0.2
TWO_OF_EACH = (
    GATEWAY, PROPELLER, PROPELLER, PROJECTOR, PROJECTOR, RUNNER, RUNNER,
)  # fmt: skip
FROZEN_S = 5.0
SETTINGS = {
    **UNMEASURED,
    **QUICK,
    "FLIGHTLOG_PROPELLER__RUNNER_TIMEOUT_S": "4",
}


@pytest.fixture
def engine() -> Iterator[Distributed]:
    """Two of each role; what is silent for 3 s loses its partitions."""
    with distributed(TWO_OF_EACH, **SETTINGS) as found:
        yield found


@pytest.fixture
def client(engine: Distributed) -> SynchronousFlyteClient:
    """A client of its gateway."""
    platform = PlatformConfig(endpoint=engine.endpoint, insecure=True)
    return SynchronousFlyteClient(platform)


def test_any_role_may_be_killed(
    engine: Distributed, client: SynchronousFlyteClient
) -> None:
    """Kill -9 of each, once and again, in an order from a seed; others take over."""
    names = begin(client)
    draw = random.Random(SEED)
    victims = [*engine.roles, *draw.sample(engine.roles, 3)]
    draw.shuffle(victims)
    for victim in victims:
        time.sleep(draw.uniform(0.2, 1.5))
        victim.kill()
        time.sleep(draw.uniform(0.0, 0.5))
        victim.start()
    for victim in victims:
        victim.wait()
    check(engine, client, names)


def test_one_that_wakes_after_the_others_moved_on(
    engine: Distributed, client: SynchronousFlyteClient
) -> None:
    """A frozen role loses what it had; when it thaws, nothing of it counts twice."""
    names = begin(client)
    for name in (PROPELLER, PROJECTOR, RUNNER):
        frozen = engine.of(name)[0]
        frozen.signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)
        frozen.signal(signal.SIGCONT)
        time.sleep(0.5)
        frozen.revive()
    check(engine, client, names)


def test_every_propeller_is_replaced_under_load(
    engine: Distributed, client: SynchronousFlyteClient
) -> None:
    """SIGTERM hands partitions over; the same name back in time keeps them."""
    names = begin(client)
    for role in (*engine.of(PROPELLER), *engine.of(PROJECTOR), *engine.of(RUNNER)):
        assert role.stop() == 0, role.tail()
        role.start()
        role.wait()
        time.sleep(0.5)
    check(engine, client, names)


def begin(client: SynchronousFlyteClient) -> list[str]:
    """Register tasks that sleep, and start executions of many."""
    register_layers(client, "layers", layers=LAYERS, width=WIDTH, sleep_s=TASK_S)
    return [create(client, "layers", f"run-{i}") for i in range(EXECUTIONS)]


def check(
    engine: Distributed, client: SynchronousFlyteClient, names: list[str]
) -> None:
    """Check from outside: all ended well, once; log and read models agree."""
    ended = {name: wait(client, name, limit_s=180) for name in names}
    assert set(ended.values()) == {"SUCCEEDED"}, (ended, tails(engine))
    for name in names:
        words = ("events", "show", f"flytesnacks/development/{name}", "--json")
        shown = engine.flightlog(*words)
        events: list[dict[str, Any]] = [
            json.loads(x) for x in shown.stdout.splitlines()
        ]
        check_whole(events)
    for command in ("verify", "replay"):
        done = engine.flightlog(command, "--json")
        assert done.returncode == 0, done.stdout + done.stderr


def tails(engine: Distributed) -> str:
    """Return the ends of all logs."""
    return "\n".join(f"--- {role.role}\n{role.tail()}" for role in engine.roles)
