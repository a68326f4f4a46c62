"""A table of a read model: its statements, and rows as their values; pure.

Both follow from the columns that the rows' struct describes, and from the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic

import msgspec
from psycopg.adapt import PyFormat
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal, Placeholder

from projections.columns import (
    Column,
    ColumnValue,
    Dump,
    Merge,
    R,
    SqlValue,
    columns_of,
    without_nul,
)
from schemas.phases import TERMINAL_EXECUTION, TERMINAL_NODE, TERMINAL_TASK, NodePhase

Key = tuple[str | int, ...]
TERMINAL = frozenset[str](TERMINAL_EXECUTION | TERMINAL_NODE | TERMINAL_TASK)
RUNNING_AGAIN = (NodePhase.DYNAMIC_RUNNING, NodePhase.RUNNING)
"""A phase of dynamic nodes, and what they enter when they are tried again: for clients
they stay in the first one."""
_ARRAY_COST = 0.5
"""What it costs to send an array, in rows: fewer rows are sent faster one by one."""
NO_CHANGES: Mapping[str, ColumnValue] = {}


@dataclass(eq=False)
class Table(Generic[R]):
    """A table, its rows, and what a new row does where its key is known already.

    It changes nothing, unless it `replaces` the known row (all but the columns whose
    first value stays), or is the later one by the columns in `newest`.
    A terminal phase stays. With `keeps_repeated_phase`, a phase that is entered again
    doesn't count either (ref §8.3).
    A NUL in a text, which Postgres doesn't take, is replaced: events are applied
    whatever they hold. With `refuses_nul` Postgres refuses it (psycopg.DataError).
    """

    name: str
    row: type[R]
    key: tuple[str, ...]
    replaces: bool = False
    newest: tuple[str, ...] = ()
    keeps_repeated_phase: bool = False
    refuses_nul: bool = False
    _updates: dict[tuple[str, ...], Update] = field(default_factory=dict)

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """Return all columns by name."""
        return {column.name: column for column in columns_of(self.row)}

    @cached_property
    def insertion(self) -> Insertion[R]:
        """Return the statement that adds a row."""
        return Insertion(self)

    def update(self, fields: tuple[str, ...]) -> Update:
        """Return the statement that sets some fields of a known row."""
        if fields not in self._updates:
            self._updates[fields] = Update(self, fields)
        return self._updates[fields]

    @cached_property
    def merges(self) -> Mapping[str, Merge]:
        """Return how the fields of a row are merged."""
        columns = columns_of(self.row)
        return {c.name: c.merge for c in columns if c.name == c.field}

    def key_of(self, row: R) -> Key:
        """Return the values of a row's key."""
        return tuple([getattr(row, name) for name in self.key])

    def is_stale(self, known: ColumnValue, phase: ColumnValue) -> bool:
        """Return whether a row in a known phase doesn't enter another one."""
        if known in TERMINAL:
            return True
        repeated = known == phase or (known, phase) == RUNNING_AGAIN
        return self.keeps_repeated_phase and repeated


class Insertion(Generic[R]):
    """The statements that add rows: `one` with its values, `many` with arrays.

    An array costs more to send than a value, and less than several.
    """

    def __init__(self, table: Table[R]) -> None:
        """Write the statements."""
        columns = [c for c in table.columns.values() if not c.is_generated]
        array = Placeholder(format=PyFormat.BINARY)
        arrays = [SQL("{}::{}[]").format(array, SQL(c.storage.type)) for c in columns]
        start = SQL("INSERT INTO {} AS known ({})").format(
            Identifier(table.name),
            SQL(", ").join(Identifier(column.name) for column in columns),
        )
        values = SQL("VALUES ({})").format(SQL(", ").join(Placeholder() * len(columns)))
        rows = SQL("SELECT * FROM unnest({})").format(SQL(", ").join(arrays))
        end = SQL("ON CONFLICT {}").format(_on_conflict(table))
        self.one = SQL(" ").join([start, values, end]).as_bytes()
        self.many = SQL(" ").join([start, rows, end]).as_bytes()
        fields = {name: place for place, name in enumerate(table.row.__struct_fields__)}
        self._places = fields
        self._dumps = [
            (fields[c.field], None if _is_refused(table, c) else c.storage.dump)
            for c in columns
        ]

    def prefers_arrays(self, rows: int) -> bool:
        """Return whether so many rows are added faster as arrays."""
        return rows > _ARRAY_COST * len(self._dumps)

    def values(
        self, row: R, changes: Mapping[str, ColumnValue] = NO_CHANGES
    ) -> Sequence[SqlValue]:
        """Return a row's values, after changes of some of its fields."""
        values = list(msgspec.structs.astuple(row))
        for name, value in changes.items():
            values[self._places[name]] = value
        return [
            values[place] if dump is None else dump(values[place])
            for place, dump in self._dumps
        ]

    def arrays(self, rows: Iterable[Sequence[SqlValue]]) -> Sequence[list[SqlValue]]:
        """Return the arrays of `many` for the values of rows, at least one."""
        return [list(column) for column in zip(*rows, strict=True)]


def _is_refused(table: Table[R], column: Column) -> bool:
    """Return whether Postgres decides which texts a column takes."""
    return table.refuses_nul and column.storage.dump is without_nul


def _on_conflict(table: Table[R]) -> Composed:
    if not (table.replaces or table.newest):
        return SQL("DO NOTHING").format()
    sets = [
        SQL("{0} = EXCLUDED.{0}").format(Identifier(column.name))
        for column in table.columns.values()
        if column.name not in table.key and column.merge is Merge.LAST
    ]
    action = SQL("({}) DO UPDATE SET {}").format(
        SQL(", ").join(map(Identifier, table.key)), SQL(", ").join(sets)
    )
    if not table.newest:
        return action
    known = [Identifier("known", name) for name in table.newest]
    new = [SQL("EXCLUDED.{}").format(Identifier(name)) for name in table.newest]
    return action + SQL(" WHERE ({}) <= ({})").format(
        SQL(", ").join(known), SQL(", ").join(new)
    )


class Update:
    """The statement that sets some fields of a known row, with named placeholders."""

    def __init__(self, table: Table[R], fields: tuple[str, ...]) -> None:
        """Write the statement; KeyError for what is no field of the table's rows."""
        columns = [c for name in fields for c in _set_by(table, name)]
        wheres: list[Composable] = [
            SQL("{} = {}").format(Identifier(name), Placeholder(f"key_{name}"))
            for name in table.key
        ]
        if "phase" in fields:
            terminal = SQL(", ").join(map(Literal, sorted(TERMINAL)))
            wheres.append(SQL("phase NOT IN ({})").format(terminal))
        text = SQL("UPDATE {} SET {} WHERE {}").format(
            Identifier(table.name),
            SQL(", ").join(_set(table, column, fields) for column in columns),
            SQL(" AND ").join(wheres),
        )
        self.text = text.as_bytes()
        key = [(f"key_{name}", table.columns[name]) for name in table.key]
        self._key: list[tuple[str, Dump]] = [
            (name, column.storage.dump or _as_is) for name, column in key
        ]
        self._columns: list[tuple[str, str, Dump]] = [
            (column.name, column.field, column.storage.dump or _as_is)
            for column in columns
        ]

    def values(
        self, key: Key, changes: Mapping[str, ColumnValue]
    ) -> Mapping[str, SqlValue]:
        """Return the values for the row of a key, by placeholder."""
        parts = zip(self._key, key, strict=True)
        values = {name: dump(part) for (name, dump), part in parts}
        for name, changed, dump in self._columns:
            values[name] = dump(changes[changed])
        return values


def _as_is(value: SqlValue) -> SqlValue:
    return value


def _set_by(table: Table[R], name: str) -> Sequence[Column]:
    """Return the columns that a field sets: its own, and those of its parts."""
    own = table.columns[name]
    return [c for c in table.columns.values() if c.field == own.field]


def _set(table: Table[R], column: Column, fields: tuple[str, ...]) -> Composed:
    """Return one assignment; it merges as a batch of changes does."""
    name, value = Identifier(column.name), Placeholder(column.name)
    if column.merge is Merge.FIRST:
        return SQL("{0} = COALESCE({0}, {1})").format(name, value)
    if column.merge is Merge.APPENDED:
        return SQL("{0} = {0} || {1}").format(name, value)
    if (
        table.keeps_repeated_phase
        and "phase" in fields
        and column.name in {"phase", "updated_at"}
    ):
        text = (
            "{0} = CASE WHEN phase = {2} OR (phase = {3} AND {2}::text = {4}) "
            "THEN {0} ELSE {1} END"
        )
        phases = Placeholder("phase"), *map(Literal, RUNNING_AGAIN)
        return SQL(text).format(name, value, *phases)
    return SQL("{} = {}").format(name, value)
