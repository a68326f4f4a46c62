"""The whole log of an engine, for commands that append to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from gateway.bootstrap.logs import open_postgres_log
from gateway.cli.session.session import Session
from infra.eventlog.contract import Pages, Positions, Record
from infra.eventlog.kafka.reader import KafkaReader
from infra.eventlog.postgres.log import PostgresLog
from workers.operations.redrive import DeadLetterLog


@dataclass(slots=True)
class EmbeddedLog:
    """The log of an embedded engine; only the running engine may append to it."""

    session: Session
    _stack: AsyncExitStack
    _owned: PostgresLog | None = field(default=None)

    async def append(self, records: Sequence[Record]) -> None:
        """Append; raises FencedError while an engine is running."""
        await (await self.own()).append(records)

    async def own(self) -> PostgresLog:
        """Own the log, and make its tables where there are none."""
        if self._owned is None:
            self._owned = await self._stack.enter_async_context(
                open_postgres_log(self.session.settings, self.session.url)
            )
        return self._owned

    async def read_to_end(self, topic: str, after: Positions, limit: int) -> Pages:
        """Yield the messages that are on a topic at the call."""
        del limit
        reader = self.session.log
        async for page in reader.read_range(await reader.end_positions(), topic, after):
            yield page

    async def positions(self, group: str, topic: str) -> Positions:
        """Return the committed position of a group."""
        return await self.session.log.positions(group, topic)

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last position of topics."""
        return await self.session.log.end_positions(topics)


@asynccontextmanager
async def open_log(
    session: Session, *, owned: bool = False
) -> AsyncIterator[DeadLetterLog]:
    """Open the log of a session's engine.

    With `owned` it is owned from the beginning: no engine can start on it meanwhile.
    """
    if isinstance(session.log, KafkaReader):
        yield session.log.log
        return
    async with AsyncExitStack() as stack:
        embedded = EmbeddedLog(session, stack)
        if owned:
            await embedded.own()
        yield embedded
