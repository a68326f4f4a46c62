"""The relay: an event that the log can't store doesn't stop it."""

from __future__ import annotations

from typing import Any

from infra.eventlog.contract import Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.dead_letters import DeadLetter
from schemas.wire import codec
from tests.support.failing_logs import STORED_MAX, SmallLog
from workers.operations.registry_relay import RegistryRelay


class Store:
    """A registry of three events, of which one is large."""

    reached = 0

    async def position(self, name: str) -> int:
        """Return how far it was relayed."""
        del name
        return self.reached

    async def save_position(self, name: str, position: int) -> None:
        """Store how far it was relayed."""
        del name
        self.reached = position

    async def events(self, after: int, limit: int) -> list[tuple[int, Record]]:
        """Return the events after a position."""
        del limit
        sizes = {1: 10, 2: STORED_MAX * 2, 3: 10}
        return [(n, _event(n, size)) for n, size in sizes.items() if n > after]


def _event(number: int, size: int) -> Record:
    return Record(
        topic=topics.REGISTRY,
        key="task/p/d/t",
        envelope=Envelope(id=f"task/p/d/t/{number}", type="?", stream="task/p/d/t"),
        body=bytes(size),
    )


async def test_an_event_that_the_log_refuses_is_a_dead_letter() -> None:
    """The others are relayed, and the position is past it."""
    log, store = SmallLog(), Store()
    await log.open()
    fields: Any = {"store": store, "log": log}
    relay = RegistryRelay(**fields)

    await relay.catch_up()

    records = log.data.records
    relayed = [r.envelope.id[-1] for r in records if r.topic == topics.REGISTRY]
    assert relayed == ["1", "3"]
    (letter,) = [codec.decode(r.body) for r in records if r.topic != topics.REGISTRY]
    assert isinstance(letter, DeadLetter)
    assert (letter.topic, letter.position) == (topics.REGISTRY, 2)
    assert (store.reached, relay.refused) == (3, 1)
