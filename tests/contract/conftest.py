"""The logs under contract: in memory, and on a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import OperationalError

from infra.log import Log
from infra.postgres_log import PostgresLog
from infra.settings import LogSettings
from tests.support.fakes import MemoryData, MemoryLog
from tests.support.postgres import empty_database

POLL_S = 0.2
LOCK_S = 0.3


class MemoryKind:
    """Logs in memory on the same data."""

    def __init__(self) -> None:
        self.data = MemoryData()
        self.logs: list[Any] = []

    async def open(self, **settings: Any) -> Any:
        log = MemoryLog(self.data, poll_s=settings.get("poll_s", POLL_S))
        await log.open()
        self.logs.append(log)
        return log

    def lose_next_answer(self, log: MemoryLog) -> None:
        log.lose_next_answer = True

    def end_sessions(self) -> None:
        self.data.holder = None


class PostgresKind:
    """Logs on one fresh database of a real Postgres."""

    def __init__(self) -> None:
        self.url = empty_database()
        self.logs: list[Any] = []

    async def open(self, **settings: Any) -> Any:
        chosen = {"poll_s": POLL_S, "lock_s": LOCK_S} | settings
        log = PostgresLog(self.url, LogSettings(**chosen))
        self.logs.append(log)
        await log.open()
        return log

    def lose_next_answer(self, log: PostgresLog) -> None:
        """Let the next insert happen, and its answer get lost."""
        recorder = log._writer.recorder
        insert = recorder.insert_events

        def lost(*args: Any, **kwargs: Any) -> Any:
            recorder.insert_events = insert
            insert(*args, **kwargs)
            raise OperationalError("the connection was lost")

        recorder.insert_events = lost

    def end_sessions(self) -> None:
        """End every session on the database, as a restart of Postgres would."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(
    params=["memory", pytest.param("postgres", marks=pytest.mark.integration)]
)
async def kind(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """One kind of log; everything that was opened is closed."""
    found = MemoryKind() if request.param == "memory" else PostgresKind()
    yield found
    for log in found.logs:
        await log.close()


@pytest.fixture
async def log(kind: Any) -> Log:
    """An open log, empty."""
    return await kind.open()


@pytest.fixture
def postgres() -> Iterator[PostgresKind]:
    """Logs on Postgres, for what only it can do."""
    return PostgresKind()
