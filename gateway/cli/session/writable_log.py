"""All topics of an engine's log, for commands: read, and appended to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.cli.session.session import Session
from infra.eventlog.contract import Received, Record
from infra.eventlog.kafka.reader import KafkaReader
from infra.eventlog.postgres.log import PostgresLog
from workers.operations.redrive import Letters


@dataclass(slots=True)
class EmbeddedLog:
    """The log of an embedded engine: while that runs, nobody else may append."""

    session: Session
    _owned: PostgresLog | None = field(default=None)

    async def append(self, records: Sequence[Record]) -> None:
        """Append; raises Fenced while an engine runs."""
        await (await self.own()).append(records)

    async def own(self) -> PostgresLog:
        """Take the log, and make its tables where there are none."""
        if self._owned is None:
            log = PostgresLog(self.session.url, self.session.settings.log)
            await log.open()
            self._owned = log
        return self._owned

    async def close(self) -> None:
        """Let go of the log."""
        if self._owned is not None:
            await self._owned.close()

    async def read_to_end(
        self, topic: str, after: Mapping[int, int], limit: int
    ) -> AsyncIterator[Sequence[Received]]:
        """Yield what is on a topic now."""
        del limit
        reader = self.session.log
        async for page in reader.read_range(await reader.end(), topic, after):
            yield page

    async def positions(self, group: str, topic: str) -> Mapping[int, int]:
        """Return a group's kept position."""
        return await self.session.log.positions(group, topic)

    async def end(self, topics: Sequence[str] = ()) -> Mapping[int, int]:
        """Return the last position of topics."""
        return await self.session.log.end(topics)


@asynccontextmanager
async def open_log(session: Session, *, owned: bool = False) -> AsyncIterator[Letters]:
    """Open the log that a session's engine works on.

    One that is `owned` is there afterwards, and no engine may start on it meanwhile.
    """
    if isinstance(session.log, KafkaReader):
        yield session.log.log
        return
    embedded = EmbeddedLog(session)
    try:
        if owned:
            await embedded.own()
        yield embedded
    finally:
        await embedded.close()
