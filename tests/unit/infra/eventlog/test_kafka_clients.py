"""aiokafka's clients: closing one never ends the loop of who closes it."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher

from infra.eventlog.kafka.clients import close_client


async def consumer_with_a_fetch_put_off() -> AIOKafkaConsumer:
    """Return a consumer as it is after a broker has refused a fetch.

    aiokafka repeats it after a pause (`Fetcher._proc_fetch_request`).
    """
    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    consumer._fetcher = Fetcher(consumer._client, consumer._subscription)
    await asyncio.sleep(0)  # It waits for an assignment.
    consumer._fetcher._pending_tasks.add(asyncio.create_task(asyncio.sleep(60)))
    await asyncio.sleep(0)
    return consumer


async def test_a_consumer_lets_its_own_cancellation_reach_its_caller() -> None:
    """So does the library; once it doesn't, `close_client` can be simpler."""
    consumer = await consumer_with_a_fetch_put_off()

    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait([stopping], timeout=5)

    assert stopping.cancelled()
    await consumer._client.close()


async def test_closing_a_consumer_closes_its_connections() -> None:
    """Whatever its fetches are at; and who closes it goes on."""
    consumer = await consumer_with_a_fetch_put_off()
    closed: list[str] = []
    consumer._client.close = lambda: _note(closed)  # type: ignore[method-assign]

    await close_client(consumer)

    assert closed == ["closed"]


async def test_closing_can_be_cancelled() -> None:
    """A shutdown doesn't wait for a broker that is away."""
    consumer = await consumer_with_a_fetch_put_off()
    closing = asyncio.create_task(close_client(consumer))
    closing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await closing
    await close_client(consumer)


async def _note(closed: list[str]) -> None:
    closed.append("closed")
