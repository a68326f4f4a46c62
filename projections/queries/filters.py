"""Flyte's filter and sort strings as SQL, of known columns only (ref §1.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, LiteralString, TypeVar

import msgspec
from psycopg.sql import SQL, Composable, Identifier

from projections.columns import SqlType, types_of
from projections.queries.fetch import Param
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


R_co = TypeVar("R_co", bound=msgspec.Struct, covariant=True)


@dataclass(frozen=True, slots=True)
class Entity(Generic[R_co]):
    """What clients may filter: columns of a table, and of tables joined to it.

    `aliases` renames columns as Flyte names them, `expressions` gives the SQL of those
    that aren't stored (text, if the row doesn't have them either). `short` is Flyte's
    abbreviation of the entity in messages; `tie` are the columns that order rows of
    equal rank. `joins` gives other entities by Flyte's names, each with the condition
    on which its rows belong to a row of this one.
    """

    table: str
    row: type[R_co]
    columns: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    joins: Mapping[str, tuple[AnyEntity, LiteralString]] = field(default_factory=dict)
    expressions: Mapping[str, LiteralString] = field(default_factory=dict)
    short: str = ""
    tie: tuple[str, ...] = ()

    def column(self, name: str) -> Composable:
        """Return the SQL of a known column."""
        column = self.aliases.get(name, name)
        if column in self.expressions:
            return SQL(self.expressions[column])
        return SQL("{}.{}").format(Identifier(self.table), Identifier(column))

    def type_of(self, name: str) -> SqlType | None:
        """Return the type of a column as clients name it; None for an unknown one."""
        column = self.aliases.get(name, name)
        if column not in self.columns:
            return None
        return types_of(self.row).get(column, "text")


AnyEntity = Entity[msgspec.Struct]


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed filter: SQL with placeholders, their values, and the columns it names.

    `fields` are those of the entity itself, not of tables that are joined to it.
    """

    sql: Composable
    values: tuple[Param, ...] = ()
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Call:
    """One expression: a function of a field and a value."""

    function: str
    entity: AnyEntity
    join: str
    field: str
    value: str


ALWAYS = Condition(SQL("TRUE"))


def parse_filters(text: str, entity: AnyEntity) -> Condition | Rejected:
    """Return the condition that a filter string states.

    What several calls state about another table must hold for one row of it.
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


def parse_sort(
    key: str, *, ascending: bool, entity: AnyEntity
) -> Composable | Rejected:
    """Return the ORDER BY of a sort key."""
    if entity.type_of(key) is None:
        return _invalid(f"invalid sort key '{key}'")
    direction = SQL("ASC" if ascending else "DESC")
    order: list[Composable] = [SQL("{} {}").format(entity.column(key), direction)]
    order += [SQL("{} {}").format(entity.column(t), direction) for t in entity.tie]
    return SQL(", ").join(order)


def _invalid(found: str) -> Rejected:
    return Rejected(
        Reason.INVALID_ARGUMENT, f"Expected a filter or sort that is known, but {found}"
    )


def _parse(expression: str, entity: AnyEntity) -> _Call | Rejected:
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
    if target.type_of(column) is None:
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
    type_ = call.entity.type_of(call.field) or "text"
    try:
        if call.function in _LISTS:
            values = [value_of(type_, item) for item in call.value.split(";")]
            operator = SQL(_LISTS[call.function])
            return Condition(SQL("{} {}(%s)").format(left, operator), (values,))
        operator = SQL(_OPERATORS[call.function])
        value = value_of(type_, call.value)
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


def _joined(entity: AnyEntity, join: str, conditions: list[Condition]) -> Condition:
    sql: Composable = SQL(" AND ").join(c.sql for c in conditions)
    if join:
        joined, on = entity.joins[join]
        sql = SQL("EXISTS (SELECT 1 FROM {} WHERE {} AND {})").format(
            Identifier(joined.table),
            SQL(on),
            sql,
        )
    return Condition(sql, tuple(value for c in conditions for value in c.values))
