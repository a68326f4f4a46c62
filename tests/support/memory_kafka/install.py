"""Lets the engine's adapter talk to brokers in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.eventlog.kafka import clients, topics
from tests.support.memory_kafka.admin import MemoryAdmin
from tests.support.memory_kafka.broker import BROKERS, Broker
from tests.support.memory_kafka.consumer import MemoryConsumer
from tests.support.memory_kafka.producer import MemoryProducer

_NUMBERS = itertools.count(1)


@contextmanager
def memory_broker() -> Iterator[Broker]:
    """Run a broker in memory: the adapter finds it by its name, meanwhile.

    All of the adapter's clients are swapped: a real broker is out of reach.
    """
    broker = Broker(f"memory-{next(_NUMBERS)}")
    BROKERS[broker.name] = broker
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "AIOKafkaConsumer", MemoryConsumer)
        patch.setattr(clients, "AIOKafkaProducer", MemoryProducer)
        patch.setattr(topics, "AIOKafkaAdminClient", MemoryAdmin)
        try:
            yield broker
        finally:
            del BROKERS[broker.name]
