"""A process to be killed: commits events with a position until then."""

from __future__ import annotations

import asyncio
import sys

from infra.eventlog.postgres.log import PostgresLog
from infra.setting_sections.storage import LogSettings
from tests.contract.owning import kept, owning
from tests.contract.records import dispatch, event_record

EVENTS = 6


async def main(url: str) -> None:
    """Commit without end; print each position once it is stored."""
    log = PostgresLog(url, LogSettings())
    await log.open()
    async with owning(log) as partition:
        position = await kept(log)
        while True:
            first = EVENTS * position + 1
            position += 1
            events = [event_record(n) for n in range(first, first + EVENTS)]
            await partition.commit([*events, dispatch(f"d{position}")], position)
            print(position, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
