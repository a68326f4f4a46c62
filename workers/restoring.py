"""Taking up a partition: what lives on it is folded from its events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import structlog

from infra.log import OwnedPartition, Received
from infra.patience import patiently
from schemas import codec, topics
from workers.propeller import Propeller
from workers.streams import Live, folded

log_ = structlog.get_logger(__name__)

_BATCH = 1000


class EventLog(Protocol):
    """What restoring asks of the log."""

    def upto_now(
        self,
        topic: str,
        after: Mapping[int, int],
        limit: int,
        partition: int | None = None,
    ) -> AsyncIterator[Sequence[Received]]:
        """Yield what is on a topic after positions and was there at the call."""
        ...


async def restore(log: EventLog, partition: OwnedPartition, into: Propeller) -> None:
    """Fold the partition's events up to now: afterwards nothing else lies on it.

    It is owned, so nobody adds events to it meanwhile. A stream that can't be folded
    costs only itself: its commands are dead letters.
    """
    streams, broken = await patiently(
        lambda: _fold(log, partition.number), "restore_delayed"
    )
    for stream, live in streams.items():
        into.take_up(stream, live)
    into.streams.know_all(unread=broken)


async def _fold(
    log: EventLog, partition: int
) -> tuple[Mapping[str, Live], Sequence[str]]:
    streams, broken = dict[str, Live](), dict[str, None]()
    events = log.upto_now(topics.EVENTS, {}, _BATCH, partition)
    async for batch in events:
        for received in batch:
            stream = received.envelope.stream
            if not received.envelope.sequence or stream in broken:
                continue
            try:
                live = folded(streams.get(stream, Live()), received)
            except codec.UndecodableMessage:
                raise
            except Exception:
                log_.exception("stream_not_restored", stream=stream)
                broken[stream] = None
                streams.pop(stream, None)
                continue
            # What has ended goes last, so that memory keeps the latest endings.
            if live.state.is_terminal:
                live = live.closed()
                streams.pop(stream, None)
            streams[stream] = live
        await asyncio.sleep(0)
    return streams, list(broken)
