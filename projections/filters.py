"""Flyte's filter and sort strings as SQL, held to known columns (ref §1.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.sql import SQL, Composable, Composed, Identifier

from schemas.rejections import Reason, Rejected

_EXPRESSION = re.compile(r"([a-zA-Z_]+)\(([\w.]+),\s?(.*)\)", re.DOTALL)
_OPERATORS = {
    "eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=",
}  # fmt: skip
_PATTERNS = {"contains": "LIKE", "not_like": "NOT LIKE"}
_LISTS = {"value_in": "= ANY", "value_not_in": "<> ALL"}
_DURATION = re.compile(r"([0-9.]+)(h|ms|m|us|s)")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}


@dataclass(frozen=True, slots=True)
class Entity:
    """What may be filtered: a table, its columns by kind, and tables to look into.

    Kinds are text, int, time, seconds. `aliases` renames columns as Flyte names them.
    """

    table: str
    columns: dict[str, str]
    aliases: dict[str, str] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    joins: dict[str, tuple[Entity, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed filter: SQL with placeholders, and their values."""

    sql: Composable
    values: tuple[Any, ...] = ()


ALWAYS = Condition(SQL("TRUE"))


def parse_filters(text: str, entity: Entity) -> Condition | Rejected:
    """Return the condition that a filter string states."""
    if not text:
        return ALWAYS
    parts: list[Composable] = []
    values: list[Any] = []
    for expression in _split(text):
        condition = _parse_one(expression, entity)
        if isinstance(condition, Rejected):
            return condition
        parts.append(condition.sql)
        values.extend(condition.values)
    return Condition(SQL(" AND ").join(parts), tuple(values))


def parse_sort(key: str, *, ascending: bool, entity: Entity) -> Composed | Rejected:
    """Return the ORDER BY of a sort key."""
    column = entity.aliases.get(key, key)
    if column not in entity.columns:
        return _invalid(f"invalid sort key '{key}'")
    direction = SQL("ASC") if ascending else SQL("DESC")
    return SQL("{}.{} {}").format(
        Identifier(entity.table), Identifier(column), direction
    )


def _split(text: str) -> list[str]:
    """Split at each + between a closing bracket and the next function's name."""
    return re.split(r"(?<=\))\+(?=[a-zA-Z_]+\()", text)


def _invalid(found: str) -> Rejected:
    return Rejected(
        Reason.INVALID_ARGUMENT, f"Expected a filter or sort that is known, but {found}"
    )


def _parse_one(expression: str, entity: Entity) -> Condition | Rejected:
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        return _invalid(f"'{expression}' is not of the form function(field,value)")
    function, name, value = match.groups()
    prefix, _, column = name.rpartition(".")
    if prefix and prefix not in entity.prefixes:
        if prefix not in entity.joins:
            return _invalid(f"'{name}' is invalid filter: no entity '{prefix}' here")
        joined, on = entity.joins[prefix]
        inner = _compare(function, column, value, joined)
        if isinstance(inner, Rejected):
            return inner
        sql = SQL("EXISTS (SELECT 1 FROM {} WHERE {} AND {})").format(
            Identifier(joined.table),
            SQL(on),
            inner.sql,  # type: ignore[arg-type]
        )
        return Condition(sql, inner.values)
    return _compare(function, column, value, entity)


def _compare(
    function: str, name: str, value: str, entity: Entity
) -> Condition | Rejected:
    column = entity.aliases.get(name, name)
    kind = entity.columns.get(column)
    if kind is None:
        return _invalid(f"'{name}' is invalid filter")
    left = SQL("{}.{}").format(Identifier(entity.table), Identifier(column))
    if function in _PATTERNS:
        pattern = f"%{value}%" if function == "contains" else value
        operator = SQL(_PATTERNS[function])
        return Condition(SQL("{}::text {} %s").format(left, operator), (pattern,))
    try:
        if function in _LISTS:
            values = [_value(kind, item) for item in value.split(";")]
            sql = SQL("{} {}(%s)").format(left, SQL(_LISTS[function]))
            return Condition(sql, (values,))
        if function in _OPERATORS:
            sql = SQL("{} {} %s").format(left, SQL(_OPERATORS[function]))
            return Condition(sql, (_value(kind, value),))
    except ValueError:
        return _invalid(f"'{value}' is no value for '{name}'")
    return _invalid(f"function '{function}' is not one of Flyte's")


def _value(kind: str, text: str) -> Any:
    if kind == "int":
        return int(text)
    if kind == "time":
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    if kind == "seconds":
        return _seconds(text)
    return text


def _seconds(text: str) -> float:
    found = _DURATION.findall(text)
    if found and "".join(n + u for n, u in found) == text:
        return float(sum(float(n) * _UNIT_S[u] for n, u in found))
    return float(text)
