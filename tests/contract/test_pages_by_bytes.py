"""Pages of large messages are bounded by their bytes, on a real Postgres and Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from infra.eventlog.contract import Received, Record
from schemas import topics as t
from schemas.envelope import Envelope
from tests.contract.conftest import KafkaKind, PostgresKind
from tests.contract.records import STREAM, dispatch, ids

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

COUNT, BODY = 12, b"x" * 100_000
PAGE_BYTES = 250_000
"""Three messages are just beyond it."""
HUGE = b"x" * 400_000


def _work(number: int, body: bytes = BODY) -> Record:
    return replace(dispatch(f"d{number}"), body=body)


def _kept(number: int) -> Record:
    envelope = Envelope(id=f"k{number}", type="flightlog.v1.Kept", stream=STREAM)
    key = f"k{number:02}"
    return Record(topic=t.SNAPSHOTS, key=key, envelope=envelope, body=BODY, partition=0)


async def _pages(found: AsyncIterator[Sequence[Received]]) -> list[Sequence[Received]]:
    return [page async for page in found]


@pytest.fixture
async def postgres() -> AsyncIterator[PostgresKind]:
    """Return logs on a fresh database."""
    kind = PostgresKind()
    yield kind
    for log in kind.logs:
        await log.close()


@pytest.mark.parametrize("recent", [10_000, 1], ids=["memory", "query"])
async def test_a_page_of_postgres(postgres: PostgresKind, recent: int) -> None:
    """From memory as by a query; all is read, and one that is larger comes alone."""
    log = await postgres.open(read_bytes_max=PAGE_BYTES, recent_records_max=recent)
    await log.append([*map(_work, range(COUNT)), _work(COUNT, HUGE), _work(COUNT + 1)])

    pages = await _pages(log.read_to_end(t.DISPATCHES, {}, 1000))

    read = [i for page in pages for i in ids(page)]
    assert read == [f"d{number}" for number in range(COUNT + 2)]
    assert [len(page) for page in pages] == [3, 3, 3, 3, 1, 1]


async def test_a_page_of_compacted_records(postgres: PostgresKind) -> None:
    """A restore doesn't hold a thousand chunks at once."""
    log = await postgres.open(read_bytes_max=PAGE_BYTES)
    await log.append([_kept(number) for number in range(COUNT)])

    pages = await _pages(log.read_compacted(t.SNAPSHOTS, 0))

    assert [len(page) for page in pages] == [3, 3, 3, 3]
    assert len({received.key for page in pages for received in page}) == COUNT


async def test_a_page_of_kafka(kafka_servers: str) -> None:
    """A fetch takes so many bytes, and a larger message alone."""
    kind: Any = KafkaKind(kafka_servers)
    kind.settings = kind.settings.model_copy(update={"fetch_bytes_max": PAGE_BYTES})
    log = await kind.open()
    try:
        for number in range(COUNT):
            await log.append([_work(number)])
        await log.append([_work(COUNT, HUGE)])
        pages = await _pages(log.read_to_end(t.DISPATCHES, {}, 1000))
    finally:
        await log.close()

    read = [i for page in pages for i in ids(page)]
    assert read == [f"d{number}" for number in range(COUNT + 1)]
    assert max(sum(len(r.body) for r in page) for page in pages) <= len(HUGE)
