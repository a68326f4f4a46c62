"""Flyte's filter and sort strings as SQL, held to known columns (ref §1.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from psycopg.sql import SQL, Composable, Identifier

from projections.queries.filter_values import InvalidValueError, value_of
from schemas.messages.rejections import Reason, Rejected

_EXPRESSION = re.compile(r"([a-zA-Z_]+)\(([\w.]+),\s?(.+)\)", re.DOTALL)
# A + within a value is kept: only one between two calls separates them.
_SEPARATOR = re.compile(r"(?<=\))\+(?=[a-zA-Z_]+\()")
_OPERATORS = {
    "eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=",
}  # fmt: skip
_PATTERNS = {"contains": "LIKE", "not_like": "NOT LIKE"}
_LISTS = {"value_in": "= ANY", "value_not_in": "<> ALL"}
_FUNCTIONS = frozenset({*_OPERATORS, *_PATTERNS, *_LISTS})
EXPRESSIONS_MAX = 50


@dataclass(frozen=True, slots=True)
class Entity:
    """What may be filtered: a table, its columns by kind, and tables to look into.

    Kinds are text, int, time, seconds. `aliases` renames columns as Flyte names them,
    `expressions` gives the SQL of those that aren't stored. `short` is Flyte's letter
    for the entity in messages, `tie` what orders rows of equal rank.
    """

    table: str
    columns: dict[str, str]
    aliases: dict[str, str] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    joins: dict[str, tuple[Entity, str]] = field(default_factory=dict)
    expressions: dict[str, str] = field(default_factory=dict)
    short: str = ""
    tie: tuple[str, ...] = ()

    def column(self, name: str) -> Composable:
        """Return the SQL of a known column."""
        column = self.aliases.get(name, name)
        if column in self.expressions:
            return SQL(self.expressions[column])
        return SQL("{}.{}").format(Identifier(self.table), Identifier(column))

    def kind(self, name: str) -> str | None:
        """Return the kind of a column as clients name it; None for an unknown one."""
        return self.columns.get(self.aliases.get(name, name))


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed filter: SQL with placeholders, their values, and the columns it names.

    `fields` holds those of the entity itself, not of tables that it looks into.
    """

    sql: Composable
    values: tuple[Any, ...] = ()
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Call:
    """One expression: a function of a field and a value."""

    function: str
    entity: Entity
    join: str
    field: str
    value: str


ALWAYS = Condition(SQL("TRUE"))


def parse_filters(text: str, entity: Entity) -> Condition | Rejected:
    """Return the condition that a filter string states.

    What several calls ask of one other table is asked of a single row there.
    """
    if not text:
        return ALWAYS
    expressions = _SEPARATOR.split(text)
    if len(expressions) > EXPRESSIONS_MAX:
        return _invalid(f"there are more than {EXPRESSIONS_MAX} of them")
    conditions: dict[str, list[Condition]] = {}
    fields = set()
    for expression in expressions:
        call = _parse(expression, entity)
        if isinstance(call, Rejected):
            return call
        condition = _compare(call)
        if isinstance(condition, Rejected):
            return condition
        conditions.setdefault(call.join, []).append(condition)
        if not call.join:
            fields.add(call.field)
    parts = [_joined(entity, join, found) for join, found in conditions.items()]
    return Condition(
        SQL(" AND ").join(part.sql for part in parts),
        tuple(value for part in parts for value in part.values),
        frozenset(fields),
    )


def parse_sort(key: str, *, ascending: bool, entity: Entity) -> Composable | Rejected:
    """Return the ORDER BY of a sort key."""
    if entity.kind(key) is None:
        return _invalid(f"invalid sort key '{key}'")
    direction = SQL("ASC" if ascending else "DESC")
    order: list[Composable] = [SQL("{} {}").format(entity.column(key), direction)]
    order += [SQL("{} {}").format(entity.column(t), direction) for t in entity.tie]
    return SQL(", ").join(order)


def _invalid(found: str) -> Rejected:
    return Rejected(
        Reason.INVALID_ARGUMENT, f"Expected a filter or sort that is known, but {found}"
    )


def _parse(expression: str, entity: Entity) -> _Call | Rejected:
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        return _invalid(f"'{expression}' is not of the form function(field,value)")
    function, name, value = match.groups()
    prefix, _, column = name.rpartition(".")
    target, join = entity, ""
    if prefix and prefix not in entity.prefixes:
        if prefix not in entity.joins:
            return _invalid(f"'{prefix}' entity is not allowed in filters")
        target, join = entity.joins[prefix][0], prefix
    if target.kind(column) is None:
        return _invalid(f"'{target.short}.{column}' is invalid filter")
    if function not in _FUNCTIONS:
        return _invalid(f"unrecognized filter function: {function}")
    if "\0" in value:
        return _invalid(f"the value for '{name}' has a NUL in it")
    return _Call(function, target, join, column, value)


def _compare(call: _Call) -> Condition | Rejected:
    left = call.entity.column(call.field)
    if call.function in _PATTERNS:
        return _like(call, left)
    kind = call.entity.kind(call.field) or ""
    try:
        if call.function in _LISTS:
            values = [value_of(kind, item) for item in call.value.split(";")]
            operator = SQL(_LISTS[call.function])
            return Condition(SQL("{} {}(%s)").format(left, operator), (values,))
        operator = SQL(_OPERATORS[call.function])
        value = value_of(kind, call.value)
        return Condition(SQL("{} {} %s").format(left, operator), (value,))
    except InvalidValueError as error:
        return _invalid(f"{error} for '{call.field}'")


def _like(call: _Call, left: Composable) -> Condition | Rejected:
    pattern = f"%{call.value}%" if call.function == "contains" else call.value
    backslashes = len(pattern) - len(pattern.rstrip("\\"))
    if backslashes % 2:
        return _invalid(f"the pattern '{pattern}' ends with an escape")
    operator = SQL(_PATTERNS[call.function])
    return Condition(SQL("{}::text {} %s").format(left, operator), (pattern,))


def _joined(entity: Entity, join: str, conditions: list[Condition]) -> Condition:
    sql: Composable = SQL(" AND ").join(c.sql for c in conditions)
    if join:
        joined, on = entity.joins[join]
        sql = SQL("EXISTS (SELECT 1 FROM {} WHERE {} AND {})").format(
            Identifier(joined.table),
            SQL(on),
            sql,
        )
    return Condition(sql, tuple(value for c in conditions for value in c.values))
