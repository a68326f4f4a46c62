"""Owners on Kafka: a fenced owner waits for a rebalance before it joins again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition

from infra.errors import FencedError
from infra.eventlog.kafka import partition_owner
from infra.eventlog.kafka.partition_owner import KafkaPartitionOwner
from infra.setting_sections.storage import KafkaSettings

AT = TopicPartition("commands", 0)


class _Opened:
    lost = None

    async def close(self) -> None:
        """Do nothing."""


async def _fenced(_partition: Any, _stop: asyncio.Event) -> None:
    raise FencedError("Expected to own it, but another does")


@pytest.mark.parametrize("is_assigned", [True, False])
async def test_a_fenced_owner_rejoins_unless_another_was_assigned_it(
    monkeypatch: pytest.MonkeyPatch, is_assigned: bool
) -> None:
    """A revoked partition causes no further rebalance."""
    monkeypatch.setattr(partition_owner, "_REVOKE_WAIT_S", 0.3)
    owners = KafkaPartitionOwner(
        KafkaSettings(bootstrap_servers="x:1"), "group", "commands", 0.1
    )

    async def opened(_at: TopicPartition) -> Any:
        return _Opened()

    monkeypatch.setattr(owners, "_open", opened)
    stop = asyncio.Event()
    serving = asyncio.create_task(owners._serve(AT, _fenced, stop))
    await asyncio.sleep(0.05)
    assert not owners._lost.is_set()
    if is_assigned:
        stop.set()
    await serving
    assert owners._lost.is_set() != is_assigned
