"""What the engine needs of its topics' configuration, and where one differs; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from infra.setting_sections.storage import KafkaSettings
from schemas import topics

_DAY_MS = 86_400_000
UNLIMITED = "-1"
RETENTION_MS: Mapping[str, str] = {
    topics.COMMANDS: UNLIMITED,
    topics.EVENTS: UNLIMITED,
    topics.DISPATCHES: UNLIMITED,
    topics.ABORTS: UNLIMITED,
    topics.REGISTRY: UNLIMITED,
    topics.NOTIFICATIONS: str(7 * _DAY_MS),
    topics.DEAD_LETTERS: str(28 * _DAY_MS),
}
_TOLERATED_RETENTION_MS = 7 * _DAY_MS
_TRIMMED = frozenset({topics.COMMANDS, topics.DISPATCHES, topics.ABORTS})
"""Deleted by the engine once every reader has passed them. Versions before that left it
to the broker, after a week: their topics are mended, but not refused."""
COMPACTION: Mapping[str, str] = {
    "cleanup.policy": "compact",
    "segment.bytes": str(32 * 2**20),
    "segment.ms": str(10 * 60_000),
    "min.cleanable.dirty.ratio": "0.2",
    "delete.retention.ms": str(_DAY_MS),
}
"""The broker compacts closed segments only: by default those of 1 GiB or a week, and
the next owner of a partition would read all of it. Tombstones outlast the longest
restore: one that read a record before its deletion must read the tombstone, too."""
_REPLICAS_OF_A_CLUSTER = 3
_IN_SYNC_MIN = 2


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration of a topic with which messages could be lost or refused.

    One that `is_tolerated` is no reason not to start.
    """

    name: str
    found: str
    expected: str
    is_tolerated: bool = False


class _Requirement(NamedTuple):
    name: str
    expected: str
    is_met: Callable[[str], bool]
    is_tolerated: Callable[[str], bool] = lambda _value: False


def configs_of(topic: str, settings: KafkaSettings) -> Mapping[str, str]:
    """Return the configuration that a topic is created with."""
    configs = {
        requirement.name: requirement.expected
        for requirement in _requirements(topic, settings.replication_factor, settings)
    }
    return {**configs, **COMPACTION} if topic in topics.COMPACTED else configs


def differences(
    topic: str, found: Mapping[str, str], replicas: int, settings: KafkaSettings
) -> Sequence[Difference]:
    """Return what a topic with so many replicas is configured with and must not be.

    What isn't found is taken to be right: a broker may not show everything.
    """
    return [
        Difference(
            name=need.name,
            found=found[need.name],
            expected=need.expected,
            is_tolerated=need.is_tolerated(found[need.name]),
        )
        for need in _requirements(topic, replicas, settings)
        if need.name in found and not need.is_met(found[need.name])
    ]


def mended(
    topic: str, overrides: Mapping[str, str], found: Sequence[Difference]
) -> Mapping[str, str]:
    """Return a topic's own configuration with differences mended.

    `overrides` are what is set for it by now; the rest of them stays.
    """
    compaction = COMPACTION if topic in topics.COMPACTED else {}
    changes = {difference.name: difference.expected for difference in found}
    return {**compaction, **overrides, **changes}


def _requirements(
    topic: str, replicas: int, settings: KafkaSettings
) -> Sequence[_Requirement]:
    """Return what a topic's configuration must be, with an expected value each."""
    bytes_max = settings.message_bytes_max
    found = [
        _exactly("message.timestamp.type", "LogAppendTime"),
        _at_least("max.message.bytes", bytes_max),
        _exactly("unclean.leader.election.enable", "false"),
    ]
    if replicas >= _REPLICAS_OF_A_CLUSTER:
        found.append(_at_least("min.insync.replicas", _IN_SYNC_MIN))
    if topic in topics.COMPACTED:
        return [*found, _exactly("cleanup.policy", "compact")]
    retention = _unlimited_or_at_least("retention.ms", RETENTION_MS[topic])
    if topic in _TRIMMED:
        retention = retention._replace(
            is_tolerated=lambda value: int(value) >= _TOLERATED_RETENTION_MS
        )
    return [
        *found,
        _exactly("cleanup.policy", "delete"),
        retention,
        _exactly("retention.bytes", UNLIMITED),
    ]


def _exactly(name: str, expected: str) -> _Requirement:
    return _Requirement(name, expected, lambda value: value == expected)


def _at_least(name: str, least: int) -> _Requirement:
    return _Requirement(name, str(least), lambda value: int(value) >= least)


def _unlimited_or_at_least(name: str, least: str) -> _Requirement:
    def is_met(value: str) -> bool:
        return value == UNLIMITED or (least != UNLIMITED and int(value) >= int(least))

    return _Requirement(name, least, is_met)
