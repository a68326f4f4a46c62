"""Events of the registry: never earlier than their stream's last one."""

from __future__ import annotations

from gateway.registry.append import not_earlier
from schemas.messages.registry_events import CacheEvicted

NOON_US = 1_700_000_000_000_000


def evicted(at_us: int) -> CacheEvicted:
    """Return an event of a time."""
    return CacheEvicted(occurred_at_us=at_us, project="p", domain="d", task="t")


def test_a_clock_that_was_set_back_turns_no_time_back() -> None:
    """What is decided then happens with the last event; later ones stay."""
    known = [evicted(NOON_US - 5), evicted(NOON_US)]
    events = [evicted(NOON_US - 3_600_000_000), evicted(NOON_US + 1)]

    found = not_earlier(known, events)

    assert [event.occurred_at_us for event in found] == [NOON_US, NOON_US + 1]
    assert list(not_earlier([], events)) == events
