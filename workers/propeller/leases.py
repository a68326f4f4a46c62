"""Leases: which runner holds which attempt, and which runners are lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.messages.commands import ExpireLease, Heartbeat
from workers.propeller.kinds.rules import Lease


class Attempt(NamedTuple):
    """An attempt of a node of a stream."""

    stream: str
    node_id: str
    attempt: int


class Seen(NamedTuple):
    """A runner's latest heartbeat; `incarnation` is None before the first one."""

    incarnation: str | None
    at_us: int


@dataclass(slots=True)
class Leases:
    """An index over the states of active streams; never stored, rebuilt by folding.

    A runner without a heartbeat for `timeout_us` is lost.
    """

    timeout_us: int
    held: dict[Attempt, Lease] = field(default_factory=dict)
    runners: dict[str, Seen] = field(default_factory=dict)

    def change(self, stream: str, lease: Lease) -> None:
        """Grant or release a lease."""
        attempt = Attempt(stream, lease.node_id, lease.attempt)
        if lease.runner is None:
            self.held.pop(attempt, None)
        else:
            self.held[attempt] = lease

    def restore(self, stream: str, leases: Iterable[Lease], now_us: int) -> None:
        """Add the leases of a restored stream; their runners may be gone by now.

        Which incarnation of a runner is alive isn't known before its first heartbeat.
        """
        for lease in leases:
            self.change(stream, lease)
            if lease.runner is not None:
                self.runners.setdefault(lease.runner, Seen(None, now_us))

    def heartbeat(self, heartbeat: Heartbeat, now_us: int) -> bool:
        """Record that a runner is alive; return whether as a new incarnation."""
        known = self.runners.get(heartbeat.runner)
        self.runners[heartbeat.runner] = Seen(heartbeat.incarnation, now_us)
        return known is None or known.incarnation != heartbeat.incarnation

    def expired(self, now_us: int) -> Sequence[tuple[str, ExpireLease]]:
        """Return the commands that end lost attempts, with their streams."""
        return list(self._expired(now_us))

    def _expired(self, now_us: int) -> Iterator[tuple[str, ExpireLease]]:
        for (stream, node_id, attempt), lease in self.held.items():
            reason = self._reason(lease, now_us)
            if reason is not None:
                yield (
                    stream,
                    ExpireLease(
                        node_id=node_id,
                        attempt=attempt,
                        dispatch_no=lease.dispatch_no,
                        reason=reason,
                    ),
                )

    def _reason(self, lease: Lease, now_us: int) -> str | None:
        """Return why a lease is lost; None if it isn't."""
        seen = self.runners.get(lease.runner or "")
        if seen is None:
            return None
        if seen.incarnation not in {None, lease.incarnation}:
            return f"runner '{lease.runner}' was restarted"
        if now_us - seen.at_us > self.timeout_us:
            return f"runner '{lease.runner}' sends no heartbeats"
        return None
