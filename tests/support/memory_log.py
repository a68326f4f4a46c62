"""A log in memory for what only follows events: records, positions, tail and end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from infra.eventlog.contract import Pages, Positions, Received, Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import event_id
from schemas.messages import execution_events as e
from schemas.messages import outcomes
from schemas.messages.node_events import Event
from schemas.wire import codec


def stored_event(stream: str, number: int, event: Event, **envelope: Any) -> Record:
    """Return the record of an event, with further fields of its envelope."""
    return Record(
        topic=topics.EVENTS,
        key=stream,
        envelope=Envelope(
            id=event_id(stream, number),
            type=codec.type_name(event),
            stream=stream,
            sequence=number,
            **envelope,
        ),
        body=codec.encode(event),
    )


def event_records(
    stream: str, events: Sequence[e.ExecutionEvent], **envelope: Any
) -> list[Record]:
    """Return the records of a stream's events, from its first one on."""
    return [
        stored_event(stream, number, event, **envelope)
        for number, event in enumerate(events, 1)
    ]


class MemoryLog:
    """Events in the order of their positions, one partition."""

    def __init__(self) -> None:
        """Begin empty."""
        self.records: list[Received] = []
        self._sequences: dict[str, int] = {}

    def add(
        self,
        stream: str,
        *events: e.ExecutionEvent,
        command: str = "",
        reply: bool = False,
    ) -> None:
        """Append the events that one command led to."""
        for number, event in enumerate(events):
            sequence = self._sequences.get(stream, 0) + 1
            self._sequences[stream] = sequence
            self._append(
                Envelope(
                    id=event_id(stream, sequence),
                    type=codec.type_name(event),
                    stream=stream,
                    sequence=sequence,
                    causation=command,
                    recorded_at_us=event.occurred_at_us,
                    reply=reply and number == 0,
                ),
                codec.encode(event),
            )

    def answer(
        self,
        stream: str,
        answer: outcomes.CommandRejected | outcomes.CommandHadNoEffect,
    ) -> None:
        """Append what became of a command without events."""
        envelope = Envelope(
            id=f"{answer.command_id}/outcome",
            type=codec.type_name(answer),
            stream=stream,
            causation=answer.command_id,
            reply=True,
        )
        self._append(envelope, codec.encode(answer))

    def spoil(self, stream: str) -> None:
        """Append bytes that no version knows."""
        self._append(Envelope(id="bad", type="?", stream=stream), b"\xc3\x01 what?")

    def _append(self, envelope: Envelope, body: bytes) -> None:
        self.records.append(
            Received(
                topic=topics.EVENTS,
                key=envelope.stream,
                envelope=envelope,
                body=body,
                partition=0,
                position=len(self.records) + 1,
            )
        )

    async def tail(self, topics: Sequence[str], after: Positions, limit: int) -> Pages:
        """Follow from a position on."""
        del topics
        position = after.get(0, 0)
        while True:
            batch = self.records[position : position + limit]
            position += len(batch)
            yield batch
            if not batch:
                await asyncio.sleep(0.001)

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last position; there is one topic only."""
        del topics
        return {0: len(self.records)}
