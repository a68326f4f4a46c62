"""Counters as a kind of stream: they add, wait, forward, park, and end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from domain.decider import Decider, Outgoing, Send, parked_rejection
from domain.snapshots import Chunk, ChunkLimits, TornSnapshotError
from schemas.messages.commands import ResumeStream, TimeReached
from schemas.messages.execution_events import StreamParked, StreamResumed
from schemas.messages.rejections import Reason, Rejected
from schemas.messages.snapshots import StreamClosed
from tests.support.counters.messages import (
    CODEC,
    AdditionDelayed,
    AddToCounter,
    CloseCounter,
    CounterAdded,
    CounterClosed,
    CounterCommand,
    CounterEvent,
)
from workers.propeller.kinds.contract import CommandMetadata, StreamKind
from workers.propeller.kinds.executions import EXECUTIONS
from workers.propeller.kinds.rules import (
    AuditRules,
    ClosingRules,
    Description,
    LeaseRules,
    SnapshotFormat,
    Timer,
    TimerRules,
)
from workers.propeller.stream_kinds import StreamKinds

BROKEN = 666
"""An amount that the decider can't handle."""
OPEN, CLOSED = "OPEN", "CLOSED"


class Addition(msgspec.Struct, frozen=True):
    """An addition that waits for its time."""

    amount: int
    due_us: int
    command_id: str


class Counter(msgspec.Struct, frozen=True):
    """A counter's value, what is still to be added, and which commands it knows."""

    value: int = 0
    pending: tuple[Addition, ...] = ()
    known: frozenset[str] = frozenset()
    parked: StreamParked | None = None
    is_closed: bool = False

    @property
    def is_terminal(self) -> bool:
        """Return whether it has ended."""
        return self.is_closed


def decide(
    command: CounterCommand, state: Counter, context: CommandMetadata
) -> Sequence[CounterEvent] | Rejected:
    """Return what follows from a command; a repeated one adds nothing."""
    now_us, command_id = context.now_us, context.command_id
    if isinstance(command, CloseCounter | TimeReached) and state.is_closed:
        return ()
    if state.is_closed:
        return Rejected(
            Reason.FAILED_PRECONDITION, "Expected an open counter, but it is closed"
        )
    if isinstance(command, ResumeStream):
        resumed = StreamResumed(occurred_at_us=now_us, principal=command.principal)
        return (resumed,) if state.parked is not None else ()
    if state.parked is not None:
        return parked_rejection(context.stream, state.parked)
    match command:
        case CloseCounter():
            return (CounterClosed(occurred_at_us=now_us),)
        case TimeReached():
            return [
                CounterAdded(
                    occurred_at_us=now_us,
                    amount=found.amount,
                    command_id=found.command_id,
                    due_us=found.due_us,
                )
                for found in state.pending
                if _timer(found).id == command.timer_id
            ]
        case AddToCounter():
            return _add(command, state, now_us, command_id)


def _add(
    command: AddToCounter, state: Counter, now_us: int, command_id: str
) -> Sequence[CounterEvent]:
    if command.amount == BROKEN:
        raise ZeroDivisionError("the decider broke")
    if command_id in state.known:
        return ()
    if command.delay_us:
        return (
            AdditionDelayed(
                occurred_at_us=now_us,
                amount=command.amount,
                due_us=now_us + command.delay_us,
                command_id=command_id,
            ),
        )
    return (
        CounterAdded(
            occurred_at_us=now_us,
            amount=command.amount,
            command_id=command_id,
            forward_to=command.forward_to,
        ),
    )


def evolve(state: Counter, event: CounterEvent) -> Counter:
    """Return the state after an event."""
    match event:
        case AdditionDelayed():
            addition = Addition(event.amount, event.due_us, event.command_id)
            return replace(
                state,
                pending=(*state.pending, addition),
                known=state.known | {event.command_id},
            )
        case CounterAdded():
            left = [a for a in state.pending if a.command_id != event.command_id]
            return replace(
                state,
                value=state.value + event.amount,
                pending=tuple(left),
                known=state.known | {event.command_id},
            )
        case CounterClosed():
            return replace(state, is_closed=True)
        case StreamParked():
            return replace(state, parked=event)
        case StreamResumed():
            return replace(state, parked=None)


def react(
    event: CounterEvent, _state: Counter, _context: CommandMetadata
) -> Sequence[Outgoing]:
    """Forward what was added, if the command asked for it."""
    if not isinstance(event, CounterAdded) or not event.forward_to:
        return ()
    command = AddToCounter(amount=event.amount)
    return (Send(stream=event.forward_to, command=command),)


class NothingLoaded:
    """Counters need nothing from outside."""

    is_complete = True

    def after(self, _event: CounterEvent, _state: Counter) -> NothingLoaded:
        """Return it as it is."""
        return self

    def context(self, metadata: CommandMetadata) -> CommandMetadata:
        """Return what is known of the command."""
        return metadata


def _timer(addition: Addition) -> Timer:
    return Timer(addition.due_us, f"{addition.command_id}@{addition.due_us}")


def _timers_after(event: CounterEvent, _state: Counter) -> Sequence[Timer]:
    if not isinstance(event, AdditionDelayed):
        return ()
    return (_timer(Addition(event.amount, event.due_us, event.command_id)),)


class Layout(msgspec.Struct, frozen=True):
    """What was written: one chunk, with what a counter waits for and knows."""

    written: tuple[int, ...] = ()


def _encode_chunks(
    _before: Layout, state: Counter, sequence: int, _limits: ChunkLimits
) -> tuple[Layout, Sequence[Chunk]]:
    body = msgspec.msgpack.encode((state.pending, state.known))
    return Layout((sequence,)), [Chunk(0, body)]


def _encode_head(state: Counter) -> bytes:
    return msgspec.msgpack.encode((state.value, state.parked, state.is_closed))


def _decode(
    head: bytes, written: Sequence[int], chunks: Mapping[int, tuple[int, bytes]]
) -> tuple[Counter, Layout]:
    sequence, body = chunks.get(0, (0, b""))
    if tuple(written) != (sequence,):
        raise TornSnapshotError(f"Expected a chunk as of {written}, but got {sequence}")
    value, parked, is_closed = msgspec.msgpack.decode(
        head, type=tuple[int, StreamParked | None, bool]
    )
    pending, known = msgspec.msgpack.decode(
        body, type=tuple[tuple[Addition, ...], frozenset[str]]
    )
    return Counter(value, pending, known, parked, is_closed), Layout((sequence,))


def _violations(before: Counter, event: CounterEvent, after: Counter) -> Iterator[str]:
    match event:
        case CounterAdded(due_us=None) if event.command_id in before.known:
            yield f"Expected each command once, but {event.command_id} adds again"
        case _:
            pass
    if after.value < 0:
        yield f"Expected a value of 0 or more, but it is {after.value}"


COUNTERS: StreamKind[CounterCommand, CounterEvent, Counter, CommandMetadata] = (
    StreamKind(
        prefix="counter",
        id_form="counter/NAME",
        commands=frozenset((AddToCounter, CloseCounter, ResumeStream)),
        decider=Decider(initial=Counter(), decide=decide, evolve=evolve, react=react),
        loaded=NothingLoaded(),
        timers=TimerRules(
            after=_timers_after, pending=lambda state: map(_timer, state.pending)
        ),
        leases=LeaseRules(change=lambda _event: None, held=lambda _state: ()),
        snapshots=SnapshotFormat(
            name=lambda: "counter-1",
            empty=Layout(),
            encode_chunks=_encode_chunks,
            encode_head=_encode_head,
            decode=_decode,
        ),
        closing=ClosingRules(
            events=frozenset((CounterClosed,)),
            late=frozenset(),
            state=lambda _first, _last: Counter(is_closed=True),
            summary=lambda _state, sequence: StreamClosed(
                last_sequence=sequence, phase=CLOSED, created_by=""
            ),
            from_summary=lambda _stream, _closed: Counter(is_closed=True),
        ),
        audit=AuditRules(violations=_violations, link=lambda _event: None),
        phase=lambda state: CLOSED if state.is_closed else OPEN,
        terminal_phases=frozenset((CLOSED,)),
        to_json=lambda state: {"value": state.value, "pending": len(state.pending)},
        describe=lambda state: Description([f"its value is {state.value}"]),
    )
)

KINDS = StreamKinds(EXECUTIONS, COUNTERS, messages=CODEC)
"""The engine's kinds of streams, and counters."""
