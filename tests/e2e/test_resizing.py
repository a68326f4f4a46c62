"""Propellers come and go while executions wait: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from infra.eventlog.kafka.log import KafkaLog
from infra.setting_sections.storage import LogSettings
from schemas import topics
from tests.bench import resizing
from tests.support.harness.distributed import PROPELLER, Distributed, distributed
from tests.support.harness.unmeasured import UNMEASURED

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

LIVE = 200


def test_two_then_four_then_one_propellers() -> None:
    """Each takes up by snapshots what falls to it; all gates let their executions go.

    One of those that leave is killed, in the end the last one is, too.
    """
    with distributed(resizing.ROLES, **resizing.SETTINGS, **UNMEASURED) as engine:
        names = resizing.waiting(engine, LIVE)
        resizing.grow(engine, LIVE)
        engine.of(PROPELLER)[-1].kill()
        resizing.shrink(engine, LIVE)
        last = engine.of(PROPELLER)[0]
        last.kill()
        last.start()
        resizing.release(engine, names)
        sequences = asyncio.run(_sequences(engine))
        slowest = max(resizing.restores([last]))

    assert len(sequences) == LIVE
    for found in sequences.values():
        assert found == list(range(1, len(found) + 1))
    assert slowest < 10


async def _sequences(engine: Distributed) -> dict[str, list[int]]:
    """Return the sequences of each stream as they lie on the log."""
    log = KafkaLog(engine.kafka, LogSettings())
    await log.open()
    found: dict[str, list[int]] = defaultdict(list)
    async for batch in log.read_to_end(topics.EVENTS, {}, 1000):
        for received in batch:
            if received.envelope.sequence:
                found[received.envelope.stream].append(received.envelope.sequence)
    await log.close()
    return found
