"""What a batch of events changes in the read models: rows and fields; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from projections import rows
from projections.columns import ColumnValue, Merge, R
from projections.table import Key, Table
from schemas.envelope import Envelope
from schemas.ids import CatalogKey

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A day less than Python has: in the time zone of a session they have these years, too.
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)
_FIRST_US, _LAST_US = (
    (at - _EPOCH) // timedelta(microseconds=1) for at in (_FIRST, _LAST)
)


class Rows(Generic[R]):
    """Changes of one table: new rows, and fields to set in new and known ones.

    The result doesn't depend on how events fall into batches: the table's statements
    follow the same rules where a change meets a row of an earlier batch.
    """

    def __init__(self, table: Table[R]) -> None:
        """Begin without changes."""
        self.table = table
        self.added: dict[Key, R] = {}
        self.changed: dict[Key, dict[str, ColumnValue]] = {}
        self._merges = table.merges

    def put(self, row: R) -> None:
        """Add a row; one that is there already stays as it is."""
        self.added.setdefault(self.table.key_of(row), row)

    def set(self, *key: str | int, **fields: ColumnValue) -> None:
        """Set fields of the row of a key; KeyError for what is no field of it."""
        row = self.added.get(key)
        changed = self.changed.get(key)
        if changed is None:
            changed = {}
        if "phase" in fields:
            known = changed.get("phase") or getattr(row, "phase", None)
            if known is not None and self.table.is_stale(known, fields["phase"]):
                return
        for name, value in fields.items():
            merge = self._merges[name]
            if merge is Merge.LAST:
                changed[name] = value
            else:
                known = changed.get(name) or getattr(row, name, None)
                changed[name] = value if known is None else _merged(merge, known, value)
        self.changed[key] = changed


def _merged(merge: Merge, known: ColumnValue, value: ColumnValue) -> ColumnValue:
    if merge is Merge.FIRST:
        return known
    if isinstance(known, tuple) and isinstance(value, tuple):
        return known + value
    return value


@dataclass(slots=True)
class Changes:
    """Changes of all read models by one batch.

    `others` are tables that have no field here, by their names.
    `released` are reservations of cached outputs by key and owner, `owners_gone` the
    owners that have none any more, `deleted` executions and when they were deleted.
    """

    executions: Rows[rows.ExecutionRow] = field(
        default_factory=lambda: Rows(rows.EXECUTIONS)
    )
    nodes: Rows[rows.NodeRow] = field(default_factory=lambda: Rows(rows.NODES))
    tasks: Rows[rows.TaskRow] = field(default_factory=lambda: Rows(rows.TASKS))
    signals: Rows[rows.SignalRow] = field(default_factory=lambda: Rows(rows.SIGNALS))
    tags: list[rows.ExecutionTagRow] = field(default_factory=list)
    journal: list[rows.JournalRow] = field(default_factory=list)
    outcomes: dict[str, rows.Outcome] = field(default_factory=dict)
    catalog: dict[CatalogKey, rows.CatalogRow] = field(default_factory=dict)
    released: list[tuple[CatalogKey, str]] = field(default_factory=list)
    owners_gone: list[str] = field(default_factory=list)
    cache_uses: list[rows.CacheUseRow] = field(default_factory=list)
    deleted: list[tuple[str, datetime]] = field(default_factory=list)
    others: dict[str, Rows[Any]] = field(default_factory=dict)

    def end_command(self, outcome: rows.Outcome) -> None:
        """Add the outcome of a command; the first one counts.

        An append that is repeated after a lost answer may put a command on the log
        twice: the second time it is rejected, or has no effect.
        """
        self.outcomes.setdefault(outcome.command_id, outcome)

    def of(self, table: Table[R]) -> Rows[R]:
        """Return the changes of a table that only one kind of stream has."""
        if table.name not in self.others:
            self.others[table.name] = Rows(table)
        return self.others[table.name]


E = TypeVar("E")
Apply = Callable[[Changes, Envelope, E, datetime], None]
"""What an event of one class changes, at the time it happened."""
ApplyAny = Apply[Any]


def on(event: type[E], apply: Apply[E]) -> tuple[type, ApplyAny]:
    """Return the entry of an event class in a table of what events change."""
    return event, apply


def not_shown(_c: Changes, _v: Envelope, _m: Any, _at: datetime) -> None:
    """Change nothing: the event isn't visible in the read models but the journal."""


def time_of(us: int) -> datetime:
    """Return a time; one that no calendar has, as a report may hold, is cut."""
    if us < _FIRST_US:
        return _FIRST
    return _LAST if us > _LAST_US else _EPOCH + timedelta(microseconds=us)
