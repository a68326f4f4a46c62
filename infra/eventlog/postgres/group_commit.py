"""Group commit: concurrent callers share a transaction."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from infra.errors import PermanentError
from infra.eventlog.contract import Record

Insert = Callable[[Sequence[Record]], Awaitable[None]]
_Pending = tuple[Sequence[Record], asyncio.Future[None]]


class GroupAppend:
    """Appends the records of waiting callers together, and reports to each of them."""

    def __init__(
        self,
        insert: Insert,
        callers_max: int,
        *,
        records_max: int = 4000,
        bytes_max: int = 16 * 2**20,
    ) -> None:
        """Insert by this function; callers beyond the limit wait.

        A transaction has at most so many records, and bytes of them, unless a single
        caller has more.
        """
        self._insert = insert
        self._records_max, self._bytes_max = records_max, bytes_max
        self._turns = asyncio.Semaphore(callers_max)
        self._pending: deque[_Pending] = deque()
        self._flusher: asyncio.Task[None] | None = None
        self._closed = False

    async def append(self, records: Sequence[Record]) -> None:
        """Append records, durably; raises what the insert of these records raises."""
        if not records:
            return
        async with self._turns:
            if self._closed:
                raise PermanentError("Expected an open log, but it is closed")
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._pending.append((records, done))
            if self._flusher is None or self._flusher.done():
                self._flusher = asyncio.create_task(self._flush(), name="log-append")
            await done

    async def close(self) -> None:
        """Accept no more records, and finish those accepted."""
        self._closed = True
        if self._flusher is not None:
            await asyncio.wait([self._flusher])

    async def _flush(self) -> None:
        while self._pending:
            await self._insert_group(self._next_group())

    def _next_group(self) -> Sequence[_Pending]:
        """Take out the callers of the next transaction."""
        group = [self._pending.popleft()]
        count, size = _measure(group[0])
        while self._pending:
            more, bytes_more = _measure(self._pending[0])
            count, size = count + more, size + bytes_more
            if count > self._records_max or size > self._bytes_max:
                break
            group.append(self._pending.popleft())
        return group

    async def _insert_group(self, group: Sequence[_Pending]) -> None:
        error = await self._try([r for records, _ in group for r in records])
        if isinstance(error, PermanentError) and len(group) > 1:
            # One caller's records can't be stored: those of the others can.
            for records, done in group:
                _settle(done, await self._try(records))
            return
        for _, done in group:
            _settle(done, error)

    async def _try(self, records: Sequence[Record]) -> Exception | None:
        try:
            await self._insert(records)
        except Exception as error:  # noqa: BLE001 - raised to each caller
            return error
        return None


def _measure(pending: _Pending) -> tuple[int, int]:
    """Return how many records a caller has, and the bytes of their bodies."""
    records, _ = pending
    return len(records), sum(len(record.body) for record in records)


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
