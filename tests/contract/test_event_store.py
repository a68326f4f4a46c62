"""The contract of the registry's event store, held by both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from infra.errors import ConflictError
from infra.eventlog.event_store import EventStore
from schemas.messages.registry_events import ProjectRegistered, ProjectReplaced
from tests.support.components.postgres import empty_database
from tests.support.fakes import MemoryEventStore

STREAM = "registry/project/p"


def registered(name: str = "p") -> ProjectRegistered:
    """A project's first event."""
    return ProjectRegistered(project_id=name, project=b"\x00one", occurred_at_us=1)


def replaced(body: bytes) -> ProjectReplaced:
    """A later one."""
    return ProjectReplaced(project_id="p", project=body, occurred_at_us=2)


@pytest.fixture(
    params=["memory", pytest.param("postgres", marks=pytest.mark.integration)]
)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """One kind of store, empty."""
    if request.param == "memory":
        yield MemoryEventStore()
        return
    found = EventStore(empty_database())
    await found.open()
    yield found
    await found.close()


async def test_events_are_loaded_as_appended(store: Any) -> None:
    """All events of a stream are returned, in order, and none of other streams."""
    events = [registered(), replaced(b"two"), replaced(b"three")]
    await store.append(STREAM, 0, events[:2], actor="me")
    await store.append(STREAM, 2, events[2:], actor="me")
    await store.append("registry/project/q", 0, [registered("q")], actor="me")
    assert await store.load(STREAM) == events
    assert await store.load("registry/project/none") == []


async def test_a_lost_race_is_a_conflict(store: Any) -> None:
    """Of two that decide on the same version one wins, and nothing is overwritten."""
    await store.append(STREAM, 0, [registered()], actor="me")
    results = await asyncio.gather(
        *(store.append(STREAM, 1, [replaced(b"%d" % n)], actor="me") for n in range(5)),
        return_exceptions=True,
    )
    assert sorted(type(r).__name__ for r in results) == ["ConflictError"] * 4 + [
        "NoneType"
    ]
    assert len(await store.load(STREAM)) == 2


async def test_a_version_that_is_not_there_is_a_conflict(store: Any) -> None:
    """Nothing can be appended after events that don't exist."""
    with pytest.raises(ConflictError):
        await store.append(STREAM, 3, [replaced(b"four")], actor="me")
    assert await store.load(STREAM) == []


async def test_what_fails_beside_undoes_the_append(store: Any) -> None:
    """Events and read models are written together or not at all."""

    def fail(_: Any) -> None:
        raise RuntimeError("the read model")

    with pytest.raises(RuntimeError):
        await store.append(STREAM, 0, [registered()], actor="me", also=fail)
    assert await store.load(STREAM) == []


@pytest.mark.integration
async def test_read_models_are_written_in_the_same_transaction() -> None:
    """`also` writes with the transaction's cursor, and is undone by a conflict."""
    url = empty_database()
    store = EventStore(url)
    await store.open()
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE TABLE seen (name text)")

        def see(cursor: Any) -> None:
            cursor.execute("INSERT INTO seen VALUES ('p')")

        await store.append(STREAM, 0, [registered()], actor="me", also=see)
        with pytest.raises(ConflictError):
            await store.append(STREAM, 0, [registered()], actor="me", also=see)
        assert conn.execute("SELECT count(*) FROM seen").fetchall() == [(1,)]
    await store.close()
