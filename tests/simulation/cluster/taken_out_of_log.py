"""What is taken out of log, read models and children: what was wrong is back."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from infra.errors import ConflictError
from infra.eventlog.kafka import (
    clients,
    consumer,
    stored_positions,
    watermarks,
)
from infra.postgres.pool import Connection
from infra.setting_sections.storage import KafkaSettings
from projections.positions import PROJECTOR
from projections.positions import stored_positions as stored
from projections.projector import commit as committing
from schemas.messages import node_events as ne
from tests.simulation.cluster import log_faults
from tests.support.memory_kafka.broker import BROKERS
from workers.operations import kafka_trimmer, retention
from workers.propeller.handler import CommandHandler

Patch = pytest.MonkeyPatch


def _everywhere(patch: Patch, name: str, known: object, instead: object) -> None:
    """Replace a function in all modules that have imported it."""
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is known:
            patch.setattr(module, name, instead)


def each_position_by_itself(patch: Patch) -> None:
    """A position that stands at its target already ends the commit, without rows."""

    async def move(conn: Connection, wanted: committing.Commit) -> bool:
        for partition, position in wanted.to.items():
            known = wanted.before.get(partition, 0)
            if not known:
                begin = committing._SQL["begin"]
                await conn.execute(begin, (PROJECTOR, [partition]))
            one = {"partitions": [partition], "from": [known], "to": [position]}
            moving = committing._SQL["move"]
            cursor = await conn.execute(moving, {"name": PROJECTOR, **one})
            if cursor.rowcount:
                continue
            if wanted.to.items() <= (await stored(conn)).items():
                return False
            raise ConflictError("another projector moved it")
        return True

    patch.setattr(committing, "_move", move)


def answers_to_any_partition(patch: Patch) -> None:
    """Answers go where their key belongs; reading ends at what is stable."""
    log_faults.answers_by_key(patch)
    reads_of_what_is_stable(patch)


def reads_of_what_is_stable(patch: Patch) -> None:
    """A read ends before the first open transaction, whatever is behind it."""

    def committed_only(settings: KafkaSettings, isolation_level: str) -> Any:
        del isolation_level
        return clients.new_consumer(settings)

    patch.setattr(watermarks, "new_consumer", committed_only)


def partitions_of_the_broker(patch: Patch) -> None:
    """Keys are hashed by the number of partitions that there are."""
    known = clients.partitions_of

    def count(topic: str, settings: KafkaSettings) -> int:
        broker = BROKERS[settings.bootstrap_servers]
        found = broker.topics.get(settings.prefix + topic)
        return known(topic, settings) if found is None else len(found.partitions)

    _everywhere(patch, "partitions_of", known, count)


def deleted_by_age_alone(patch: Patch) -> None:
    """What is old is deleted, also what readers have not passed."""

    async def none(*_: object) -> bool:
        return False

    patch.setattr(kafka_trimmer, "_lower", lambda _positions, old: old)
    patch.setattr(kafka_trimmer.KafkaTrimmer, "_has_unread", none)


def deleted_without_a_word(patch: Patch) -> None:
    """A reader goes on after what is deleted."""
    known = stored_positions.start_position

    def anywhere(_at: Any, position: int | None, extent: Any) -> int:
        return max(position or 0, int(extent.first))

    _everywhere(patch, "start_position", known, anywhere)
    member = consumer.new_group_member

    def skipping(settings: KafkaSettings, group: str, **_: bool) -> Any:
        return member(settings, group, skips_deleted=True)

    patch.setattr(consumer, "new_group_member", skipping)


def nobody_told(patch: Patch) -> None:
    """Who waits for what a failed command would have created isn't told."""
    patch.setattr(CommandHandler, "_told", lambda *_: ())


def only_created_children(patch: Patch) -> None:
    """Deletion follows children that were reported, not those requested."""
    children = retention._children

    def created(events: Any, kind: Any) -> list[str]:
        return [] if kind is ne.ChildRequested else children(events, kind)

    patch.setattr(retention, "_children", created)
