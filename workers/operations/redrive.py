"""Redriving: dead letters go back to their topics, in order, stream by stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import structlog

from infra.clock import Clock
from infra.eventlog.contract import Pages, Positions, Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.commands import Heartbeat, ResumeStream, Tick
from schemas.messages.dead_letters import DeadLetter, DeadLetterRedriven
from schemas.wire import codec
from schemas.wire.codec import Codec
from workers.dead_letters import redrive_marker, redriven_id, redriven_record

log_ = structlog.get_logger(__name__)

PAGE = 1000
WAIT_S = 10.0
_POLL_S = 0.1
_ROUNDS_MAX = 5
"""What is dead-lettered while a stream is being resumed takes another round."""


class StoredDeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter on the log, its id, and whether it was redriven."""

    id: str
    letter: DeadLetter
    redriven: bool = False


class Redriven(msgspec.Struct, kw_only=True):
    """What became of dead letters, by their ids, and of their streams.

    `left` are those that this version can't read, `refused` those whose failure was
    told to the stream that waited: it went on. `parked_again` are the streams of which
    a redriven command failed once more.
    """

    redriven: list[str] = msgspec.field(default_factory=list)
    left: list[str] = msgspec.field(default_factory=list)
    refused: list[str] = msgspec.field(default_factory=list)
    parked_again: list[str] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RedriveRequest:
    """Which dead letters to redrive: all of some streams, and those with some ids."""

    streams: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RedrivePlan:
    """One round: the dead letters to redrive, and what the next round asks for.

    `resume` holds the streams to resume, each with the id of its last dead letter.
    """

    redrive: Sequence[StoredDeadLetter]
    resume: Mapping[str, str]
    left: Sequence[str]
    refused: Sequence[str]
    parked_again: Sequence[str]
    following: RedriveRequest


class DeadLetterLog(Protocol):
    """What redriving needs of a log."""

    async def append(self, records: Sequence[Record]) -> None:
        """Append records."""
        ...

    def read_to_end(self, topic: str, after: Positions, limit: int) -> Pages:
        """Yield what is on a topic now."""
        ...

    async def positions(self, group: str, topic: str) -> Positions:
        """Return a group's stored positions."""
        ...

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last positions."""
        ...


async def stored_dead_letters(pages: Pages) -> list[StoredDeadLetter]:
    """Return the dead letters on a log, oldest first; what isn't one is ignored."""
    found: dict[str, StoredDeadLetter] = {}
    async for page in pages:
        for received in page:
            try:
                message = codec.decode(received.body)
            except codec.UndecodableMessageError as error:
                log_.warning("dead_letter_ignored", error=str(error))
                continue
            if isinstance(message, DeadLetter):
                stored = StoredDeadLetter(id=received.envelope.id, letter=message)
                found.setdefault(stored.id, stored)
            elif isinstance(message, DeadLetterRedriven) and message.letter in found:
                stored = found[message.letter]
                found[message.letter] = msgspec.structs.replace(stored, redriven=True)
    return list(found.values())


def plan_redrive(
    stored: Sequence[StoredDeadLetter],
    request: RedriveRequest,
    done: Redriven,
    messages: Codec,
) -> RedrivePlan:
    """Return what one round does about a request, after what earlier rounds did; pure.

    A command's id stands for all commands of its stream: they stay in order. What
    can't be read is redriven only where its id is named.
    """
    known = {*done.left, *done.refused}
    candidates = [s for s in stored if not s.redriven and s.id not in known]
    streams = _streams(candidates, request, messages)
    chosen = [
        s for s in candidates if s.id in request.ids or s.letter.stream in streams
    ]
    failed = _failed_again(chosen, done.redriven)
    chosen = [s for s in chosen if s.letter.stream not in failed]
    refused = [s.id for s in chosen if s.letter.answered]
    chosen = [s for s in chosen if not s.letter.answered]
    left = [
        s.id
        for s in chosen
        if s.id not in request.ids and not _is_readable(s.letter, messages)
    ]
    redrive = [s for s in chosen if s.id not in left]
    return RedrivePlan(
        redrive=redrive,
        resume={
            s.letter.stream: s.id for s in redrive if _is_command(s.letter, messages)
        },
        left=left,
        refused=refused,
        parked_again=sorted(failed),
        following=RedriveRequest(streams=streams - failed),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Redriver:
    """Redrives dead letters; `wait_s` is how long commands may take to be handled.

    `messages` decodes the messages in dead letters.
    """

    log: DeadLetterLog
    clock: Clock
    messages: Codec = codec.ENGINE
    wait_s: float = WAIT_S

    async def redrive(
        self, streams: Iterable[str], ids: Iterable[str], principal: str
    ) -> Redriven:
        """Redrive the dead letters of streams, and those with these ids."""
        request, done = RedriveRequest(frozenset(streams), frozenset(ids)), Redriven()
        for _ in range(_ROUNDS_MAX):
            pages = self.log.read_to_end(topics.DEAD_LETTERS, {}, PAGE)
            stored = await stored_dead_letters(pages)
            plan = plan_redrive(stored, request, done, self.messages)
            done.left += plan.left
            done.refused += plan.refused
            done.parked_again += plan.parked_again
            if not plan.redrive:
                break
            await self.log.append(_records(plan, principal, self.clock.now_us()))
            done.redriven += [found.id for found in plan.redrive]
            request = plan.following
            if not await self._handled():
                break
        return done

    async def _handled(self) -> bool:
        """Wait until the commands of now are handled; False if they aren't in time."""
        ends = await self.log.end_positions((topics.COMMANDS,))
        until = self.clock.monotonic() + self.wait_s
        while self.clock.monotonic() < until:
            stored = await self.log.positions(topics.PROPELLER_GROUP, topics.COMMANDS)
            if all(stored.get(at, 0) >= end for at, end in ends.items()):
                return True
            await self.clock.sleep(_POLL_S)
        return False


def _records(plan: RedrivePlan, principal: str, now_us: int) -> list[Record]:
    """Return what a plan appends: streams are resumed before their commands."""
    return [
        *(
            _resume(stream, f"{last}/resume", principal, now_us)
            for stream, last in plan.resume.items()
        ),
        *(redriven_record(s.letter, s.id, now_us) for s in plan.redrive),
        *(redrive_marker(s.id, s.letter, principal, now_us) for s in plan.redrive),
    ]


def _resume(stream: str, command_id: str, principal: str, now_us: int) -> Record:
    command = ResumeStream(principal=principal)
    envelope = Envelope(
        id=command_id,
        type=codec.type_name(command),
        stream=stream,
        actor=principal,
        recorded_at_us=now_us,
    )
    return Record(
        topic=topics.COMMANDS, key=stream, envelope=envelope, body=codec.encode(command)
    )


def _streams(
    candidates: Sequence[StoredDeadLetter], request: RedriveRequest, messages: Codec
) -> frozenset[str]:
    """Return the streams of which all commands are to be redriven."""
    return request.streams | {
        s.letter.stream
        for s in candidates
        if s.id in request.ids
        and not s.letter.answered
        and _is_command(s.letter, messages)
    }


def _is_readable(letter: DeadLetter, messages: Codec) -> bool:
    try:
        messages.decode(letter.body)
    except codec.UndecodableMessageError:
        return False
    return True


def _is_command(letter: DeadLetter, messages: Codec) -> bool:
    """Return whether it is a readable command to a stream."""
    if letter.topic != topics.COMMANDS or not _is_readable(letter, messages):
        return False
    return not isinstance(messages.decode(letter.body), Heartbeat | Tick)


def _failed_again(
    chosen: Sequence[StoredDeadLetter], redriven: Iterable[str]
) -> frozenset[str]:
    """Return the streams of which a redriven command is a dead letter once more."""
    ids = {redriven_id(dead_letter_id) for dead_letter_id in redriven}
    return frozenset(s.letter.stream for s in chosen if s.letter.id in ids)
