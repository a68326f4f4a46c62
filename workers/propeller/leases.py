"""Leases: which runner holds which attempt, and which runners are lost.

Silence is counted in ticks of the partition's owner, never by a clock alone: what holds
up the owner, the log, or the whole machine holds up the count as well.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.messages.commands import ExpireLease, Heartbeat
from workers.propeller.kinds.rules import Lease

TICK_S = 1.0
"""The least time between two ticks, in seconds."""
_IDLE_MAX = 1000
"""Runners without leases that are remembered: of most, another incarnation is known."""
_SUPERSEDED_MAX = 8


class Attempt(NamedTuple):
    """An attempt of a node of a stream."""

    stream: str
    node_id: str
    attempt: int


class Seen(NamedTuple):
    """A runner's latest heartbeat, by the number of ticks that were read before it.

    `at_s` is when it was read, by the monotonic clock: not before it was sent.
    `incarnation` is None before the first one. Those before it are `superseded`.
    """

    incarnation: str | None
    tick: int
    at_s: float
    superseded: tuple[str, ...] = ()


@dataclass(slots=True)
class Leases:
    """An index over the states of active streams; never stored, rebuilt by folding.

    A runner is lost after `timeout_s` and as many ticks as it has seconds without a
    heartbeat, or once another incarnation of it is heard. `own` is the runner of this
    process: it is never lost by silence, because both stand still together.
    """

    timeout_s: float
    own: str = ""
    ticks: int = 0
    held: dict[Attempt, Lease] = field(default_factory=dict)
    _attempts: dict[str, dict[str, dict[Attempt, None]]] = field(default_factory=dict)
    _holders: dict[str, Seen] = field(default_factory=dict)
    _idle: OrderedDict[str, Seen] = field(default_factory=OrderedDict)

    @property
    def runners(self) -> Mapping[str, Seen]:
        """Return the runners that are known: all that hold leases, and others."""
        return self._holders | self._idle

    @property
    def needs_ticks(self) -> bool:
        """Return whether a runner holds a lease that it would lose by silence."""
        return len(self._holders) > (self.own in self._holders)

    def tick(self) -> None:
        """Count a tick: heartbeats that were sent before it have been read."""
        self.ticks += 1

    def change(self, stream: str, lease: Lease, now_s: float) -> None:
        """Grant or release a lease.

        A runner that was never heard is silent from now on: it may be gone by now.
        """
        attempt = Attempt(stream, lease.node_id, lease.attempt)
        self._release(attempt)
        if lease.runner is None:
            return
        self.held[attempt] = lease
        of_runner = self._attempts.get(lease.runner)
        if of_runner is None:
            of_runner = self._attempts[lease.runner] = {}
            seen = self._idle.pop(lease.runner, None)
            self._holders[lease.runner] = seen or Seen(None, self.ticks, now_s)
        of_runner.setdefault(lease.incarnation, {})[attempt] = None

    def _release(self, attempt: Attempt) -> None:
        lease = self.held.pop(attempt, None)
        if lease is None or lease.runner is None:
            return
        of_runner = self._attempts[lease.runner]
        of_runner[lease.incarnation].pop(attempt)
        if not of_runner[lease.incarnation]:
            del of_runner[lease.incarnation]
        if not of_runner:
            del self._attempts[lease.runner]
            self._put_idle(lease.runner, self._holders.pop(lease.runner))

    def _put_idle(self, runner: str, seen: Seen) -> None:
        """Remember a runner without leases; the one heard least lately is forgotten."""
        self._idle[runner] = seen
        self._idle.move_to_end(runner)
        if len(self._idle) > _IDLE_MAX:
            self._idle.popitem(last=False)

    def restore(self, stream: str, leases: Iterable[Lease], now_s: float) -> None:
        """Add the leases of a restored stream; their runners may be gone by now.

        Which incarnation of a runner is alive isn't known before its first heartbeat.
        """
        for lease in leases:
            self.change(stream, lease, now_s)

    def heartbeat(self, heartbeat: Heartbeat, now_s: float) -> bool:
        """Record that a runner is alive; return whether as a new incarnation.

        An incarnation that another one has followed is no sign of life: it was frozen.
        """
        runner, incarnation = heartbeat.runner, heartbeat.incarnation
        known = self._holders.get(runner) or self._idle.get(runner)
        superseded: tuple[str, ...] = () if known is None else known.superseded
        if incarnation in superseded:
            return False
        before = None if known is None else known.incarnation
        if before not in {None, incarnation}:
            superseded = (*superseded, before)[-_SUPERSEDED_MAX:]
        seen = Seen(incarnation, self.ticks, now_s, superseded)
        if runner in self._holders:
            self._holders[runner] = seen
        else:
            self._put_idle(runner, seen)
        return before != incarnation

    def expired(self, now_s: float) -> Sequence[tuple[str, ExpireLease]]:
        """Return the commands that end lost attempts, with their streams."""
        return list(self._expired(now_s))

    def _expired(self, now_s: float) -> Iterator[tuple[str, ExpireLease]]:
        for runner, of_runner in self._attempts.items():
            for incarnation, attempts in of_runner.items():
                reason = self._reason(runner, incarnation, now_s)
                if reason is None:
                    continue
                for attempt in attempts:
                    command = ExpireLease(
                        node_id=attempt.node_id,
                        attempt=attempt.attempt,
                        dispatch_no=self.held[attempt].dispatch_no,
                        reason=reason,
                    )
                    yield attempt.stream, command

    def _reason(self, runner: str, incarnation: str, now_s: float) -> str | None:
        """Return why a runner's incarnation is lost; None if it isn't."""
        seen = self._holders[runner]
        if seen.incarnation not in {None, incarnation}:
            return f"runner '{runner}' was restarted"
        ticks_max = math.ceil(self.timeout_s / TICK_S)
        is_silent = (
            self.ticks - seen.tick >= ticks_max and now_s - seen.at_s >= self.timeout_s
        )
        if runner != self.own and is_silent:
            return f"runner '{runner}' sends no heartbeats"
        return None
