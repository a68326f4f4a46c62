"""What a batch of events changes in the views: rows to insert, columns to set; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from schemas.envelope import Envelope
from schemas.values import Failure

Key = tuple[Any, ...]
pack = msgspec.msgpack.encode

ENDED = frozenset(
    {"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT", "SKIPPED", "RECOVERED"}
)
NO_NEWS = ("DYNAMIC_RUNNING", "RUNNING")
"""A phase, and one that follows it inside only: a dynamic node that is tried again."""
FIRST_WINS = frozenset({"started_at"})
APPENDED = frozenset({"reasons"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(slots=True)
class Rows:
    """Changes of one table: new rows, and columns to set in known ones.

    The result doesn't depend on how events fall into batches: `writing` follows the
    same rules where a change meets a row of an earlier batch. A phase that has ended
    stays; `steady` tells that a phase entered again isn't news (ref §8.3).
    """

    steady: bool = False
    inserts: dict[Key, dict[str, Any]] = field(default_factory=dict)
    updates: dict[Key, dict[str, Any]] = field(default_factory=dict)

    def put(self, key: Key, row: dict[str, Any]) -> None:
        """Add a row; one that is there already stays as it is."""
        self.inserts.setdefault(key, row)

    def set(self, key: Key, **columns: Any) -> None:
        """Set columns; of a row that the same batch adds, in place."""
        row = self.inserts.get(key)
        if row is None:
            row = self.updates.setdefault(key, {})
        if "phase" in columns:
            known = row.get("phase")
            if known in ENDED or (self.steady and _is_old(known, columns["phase"])):
                return
        for name, value in columns.items():
            if name in FIRST_WINS and row.get(name) is not None:
                continue
            row[name] = row.get(name, "") + value if name in APPENDED else value


def _is_old(known: str | None, phase: str) -> bool:
    return known == phase or (known, phase) == NO_NEWS


@dataclass(slots=True)
class Changes:
    """Changes of all views by one batch."""

    executions: Rows = field(default_factory=Rows)
    nodes: Rows = field(default_factory=lambda: Rows(steady=True))
    tasks: Rows = field(default_factory=Rows)
    signals: Rows = field(default_factory=Rows)
    tags: list[Key] = field(default_factory=list)
    journal: list[Key] = field(default_factory=list)
    outcomes: dict[str, Key] = field(default_factory=dict)
    catalog: dict[Key, Key] = field(default_factory=dict)
    released: list[Key] = field(default_factory=list)
    owners_gone: list[str] = field(default_factory=list)
    cache_uses: list[Key] = field(default_factory=list)
    deleted: list[Key] = field(default_factory=list)


Apply = Callable[[Changes, Envelope, Any, datetime], None]
"""What one event changes, at the time it happened."""


def time_of(us: int) -> datetime:
    """Return a time; one that no calendar holds, as reports may bear, is cut."""
    try:
        return _EPOCH + timedelta(microseconds=us)
    except OverflowError:
        return _LAST if us > 0 else _EPOCH


def error_columns(failure: Failure) -> dict[str, Any]:
    """Return the columns that tell why something failed."""
    return {
        "error": pack(failure),
        "error_kind": failure.kind,
        "error_code": failure.code,
    }
