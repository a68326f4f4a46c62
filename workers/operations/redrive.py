"""Redriving: dead letters put back on their topics, in order, by execution."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from infra.eventlog.contract import Received, Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.commands import Heartbeat, ResumeStream
from schemas.messages.dead_letters import DeadLetter, DeadLetterRedriven
from schemas.wire import codec
from workers.dead_letters import back, note

PAGE = 1000
WAIT_S = 10.0
_LOOK_S = 0.1
_ROUNDS_MAX = 5
"""What arrived while an execution was being resumed takes another round."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter, its id, and whether it was put back."""

    id: str
    letter: DeadLetter
    redriven: bool = False


class Redriven(msgspec.Struct, kw_only=True):
    """What became of letters: put back, left as they can't be read; parked again."""

    redriven: list[str] = msgspec.field(default_factory=list)
    left: list[str] = msgspec.field(default_factory=list)
    parked_again: list[str] = msgspec.field(default_factory=list)


class Letters(Protocol):
    """A log as far as it is needed here."""

    async def append(self, records: Sequence[Record]) -> None:
        """Append records."""
        ...

    def read_to_end(
        self, topic: str, after: Mapping[int, int], limit: int
    ) -> AsyncIterator[Sequence[Received]]:
        """Yield what is on a topic now."""
        ...

    async def positions(self, group: str, topic: str) -> Mapping[int, int]:
        """Return a group's kept positions."""
        ...

    async def end(self, topics: Sequence[str] = ()) -> Mapping[int, int]:
        """Return the last positions."""
        ...


async def letters_of(pages: AsyncIterator[Sequence[Received]]) -> list[Kept]:
    """Return the dead letters on a log, oldest first."""
    found: dict[str, Kept] = {}
    async for page in pages:
        for received in page:
            message = codec.decode(received.body)
            if isinstance(message, DeadLetter):
                kept = Kept(id=received.envelope.id, letter=message)
                found.setdefault(kept.id, kept)
            elif isinstance(message, DeadLetterRedriven) and message.letter in found:
                kept = found[message.letter]
                found[message.letter] = msgspec.structs.replace(kept, redriven=True)
    return list(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Redriver:
    """Puts letters back; `wait_s` is how long commands may take to be handled."""

    log: Letters
    now_us: Callable[[], int]
    wait_s: float = WAIT_S

    async def redrive(
        self, streams: Iterable[str], ids: Iterable[str], principal: str
    ) -> Redriven:
        """Put back the letters of streams, and those with these ids.

        A command's id stands for all commands of its stream: they stay in order.
        """
        asked, named, done = set(streams), set(ids), Redriven()
        for _ in range(_ROUNDS_MAX):
            found = [kept for kept in await self._open() if kept.id not in done.left]
            asked |= {
                kept.letter.stream
                for kept in found
                if kept.id in named and _is_readable_command(kept.letter)
            }
            chosen = [
                kept
                for kept in found
                if kept.id in named or kept.letter.stream in asked
            ]
            again = _bounced(chosen, done.redriven)
            done.parked_again += sorted(again)
            asked -= again
            chosen = [kept for kept in chosen if kept.letter.stream not in again]
            unread = [
                kept.id
                for kept in chosen
                if kept.id not in named and not _is_readable(kept.letter)
            ]
            done.left += unread
            chosen = [kept for kept in chosen if kept.id not in unread]
            if not chosen:
                break
            await self._put_back(chosen, principal)
            done.redriven += [kept.id for kept in chosen]
            named.clear()
            if not await self._handled():
                break
        return done

    async def _open(self) -> list[Kept]:
        pages = self.log.read_to_end(topics.DEAD_LETTERS, {}, PAGE)
        return [kept for kept in await letters_of(pages) if not kept.redriven]

    async def _put_back(self, chosen: Sequence[Kept], principal: str) -> None:
        now_us = self.now_us()
        streams = {
            kept.letter.stream: kept.id
            for kept in chosen
            if _is_readable_command(kept.letter)
        }
        records = [
            _resume(stream, f"{letter}/resume", principal, now_us)
            for stream, letter in streams.items()
        ]
        records += [back(kept.letter, kept.id, now_us) for kept in chosen]
        records += [note(kept.id, kept.letter, principal, now_us) for kept in chosen]
        await self.log.append(records)

    async def _handled(self) -> bool:
        """Wait until commands up to now were handled; False if nobody does it."""
        ends = await self.log.end((topics.COMMANDS,))
        loop = asyncio.get_running_loop()
        until = loop.time() + self.wait_s
        while loop.time() < until:
            kept = await self.log.positions(topics.PROPELLER_GROUP, topics.COMMANDS)
            if all(kept.get(at, 0) >= end for at, end in ends.items()):
                return True
            await asyncio.sleep(_LOOK_S)
        return False


def _resume(stream: str, key: str, principal: str, now_us: int) -> Record:
    command = ResumeStream(principal=principal)
    envelope = Envelope(
        id=key,
        type=codec.type_name(command),
        stream=stream,
        actor=principal,
        recorded_at_us=now_us,
    )
    return Record(
        topic=topics.COMMANDS, key=stream, envelope=envelope, body=codec.encode(command)
    )


def _is_readable(letter: DeadLetter) -> bool:
    try:
        codec.decode(letter.body)
    except codec.UndecodableMessageError:
        return False
    return True


def _is_readable_command(letter: DeadLetter) -> bool:
    if letter.topic != topics.COMMANDS or not _is_readable(letter):
        return False
    return not isinstance(codec.decode(letter.body), Heartbeat)


def _bounced(chosen: Sequence[Kept], redriven: Sequence[str]) -> set[str]:
    """Return streams of which a letter that was put back came back."""
    ours = {f"{letter}/redriven" for letter in redriven}
    return {kept.letter.stream for kept in chosen if kept.letter.id in ours}
