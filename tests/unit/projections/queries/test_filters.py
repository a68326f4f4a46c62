"""Filters and sorts: Flyte's strings as SQL, and bad ones as refusals."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from projections.queries import filter_columns
from projections.queries.filter_values import InvalidValueError, value_of
from projections.queries.filters import (
    EXPRESSIONS_MAX,
    Condition,
    Entity,
    parse_filters,
    parse_sort,
)
from schemas.messages.rejections import Reason, Rejected


def sql_of(text: str, entity: Entity = filter_columns.EXECUTIONS) -> str:
    """Return the SQL of a filter that must be good."""
    condition = parse_filters(text, entity)
    assert isinstance(condition, Condition), condition
    return condition.sql.as_string()


def values_of(text: str) -> tuple[object, ...]:
    """Return the values of a filter that must be good."""
    condition = parse_filters(text, filter_columns.EXECUTIONS)
    assert isinstance(condition, Condition), condition
    return condition.values


def refusal(text: str, entity: Entity = filter_columns.EXECUTIONS) -> str:
    """Return why a filter is refused."""
    rejected = parse_filters(text, entity)
    assert isinstance(rejected, Rejected), rejected
    assert rejected.reason is Reason.INVALID_ARGUMENT
    return rejected.detail


@pytest.mark.parametrize(
    ("text", "sql", "value"),
    [
        ("eq(phase,RUNNING)", '"executions"."phase" = %s', "RUNNING"),
        ("ne(phase, RUNNING)", '"executions"."phase" <> %s', "RUNNING"),
        ("gt(mode,1)", '"executions"."mode" > %s', 1),
        ("gte(mode,1)", '"executions"."mode" >= %s', 1),
        ("lt(mode,1)", '"executions"."mode" < %s', 1),
        ("lte(mode,1)", '"executions"."mode" <= %s', 1),
        ("contains(execution_name,a)", '"executions"."execution_name"', "%a%"),
        ("not_like(execution_name,a%)", "NOT LIKE %s", "a%"),
        ("value_in(phase,A;B)", '"executions"."phase" = ANY(%s)', ["A", "B"]),
        ("value_not_in(mode,1;2)", '"executions"."mode" <> ALL(%s)', [1, 2]),
        ("eq(user,me)", '"executions"."user" = %s', "me"),
        ("eq(execution.phase,FAILED)", '"executions"."phase" = %s', "FAILED"),
    ],
)
def test_functions(text: str, sql: str, value: object) -> None:
    """Every function of Flyte's becomes its operator, values stay parameters."""
    assert sql in sql_of(text)
    assert (value,) == values_of(text)


def test_calls_are_joined_by_and() -> None:
    """A + between calls means and; one within a value stays."""
    text = "eq(phase,A)+eq(error_code,a+b)"

    assert " AND " in sql_of(text)
    assert ("A", "a+b") == values_of(text)


def test_a_tag_is_one_row() -> None:
    """What is asked of a tag's key and value is asked of the same tag."""
    sql = sql_of("value_in(execution_tag.key,k)+value_in(execution_tag.value,v)")

    assert sql.count("EXISTS") == 1


def test_other_tables_are_found_by_whole_ids() -> None:
    """A workflow's version is looked up by project, domain and name too."""
    sql = sql_of("eq(workflow.version,v)")

    assert "workflows.project = executions.workflow_project" in sql


def test_ids_of_executions_on_nodes() -> None:
    """Lists of nodes know their execution's id, by both spellings."""
    own = sql_of("eq(execution_name,x)", filter_columns.NODES)
    joined = sql_of("eq(execution.execution_name,x)", filter_columns.NODES)

    assert "split_part(node_executions.stream, '/', 4) = %s" in own
    assert "EXISTS" in joined


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("eq(name,x)", "'e.name' is invalid filter"),
        ("eq(execution.name,x)", "'e.name' is invalid filter"),
        ("eq(project,x)", "'e.project' is invalid filter"),
        ("like(phase,x)", "unrecognized filter function: like"),
        ("eq(signal.id,x)", "'signal' entity is not allowed"),
        ("eq(phase)", "not of the form"),
        ("phase=RUNNING", "not of the form"),
        ("eq(phase,)", "not of the form"),
        ("eq(mode,x)", "'x' is no whole number"),
        ("gt(created_at,noon)", "timestamp noon must conform to RFC3339"),
        ("gt(duration,long)", "failed to parse duration [long]"),
        ("eq(phase,a\0b)", "has a NUL in it"),
        ("not_like(phase,a\\)", "ends with an escape"),
        ("eq(phase,A)+", "not of the form"),
        ("eq(phase;drop table executions,A)", "not of the form"),
    ],
)
def test_bad_filters(text: str, detail: str) -> None:
    """What isn't known is refused, with a text that says what."""
    assert detail in refusal(text)


def test_bad_filters_of_nodes() -> None:
    """Messages have Flyte's prefix for the entity."""
    assert "'ne.name' is invalid filter" in refusal("eq(name,x)", filter_columns.NODES)


def test_filters_are_bounded() -> None:
    """A filter of absurd length is refused."""
    text = "+".join(["eq(phase,A)"] * (EXPRESSIONS_MAX + 1))

    assert "more than" in refusal(text)


def test_sort_keys() -> None:
    """A sort key is a column, by Flyte's name; equal rows keep one order."""
    order = parse_sort(
        "execution_created_at", ascending=False, entity=filter_columns.EXECUTIONS
    )

    assert not isinstance(order, Rejected)
    expected = '"executions"."created_at" DESC, "executions"."stream" DESC'
    assert expected == order.as_string()


def test_bad_sort_key() -> None:
    """An unknown sort key is refused in Flyte's text."""
    rejected = parse_sort("name", ascending=True, entity=filter_columns.EXECUTIONS)

    assert isinstance(rejected, Rejected)
    assert "invalid sort key 'name'" in rejected.detail


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5", 1.5), ("1h2m3.5s", 3723.5), ("250ms", 0.25), ("-1s", -1.0), ("7µs", 7e-6)],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a number of seconds, or as Go writes it."""
    assert seconds == pytest.approx(value_of("double precision", text))


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-06T07:08:09Z",
        "2024-05-06T09:08:09.000000000+02:00",
        "2024-05-06T07:08:09",
    ],
)
def test_times(text: str) -> None:
    """A time is RFC 3339, UTC where it names no zone."""
    assert datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC) == value_of("timestamptz", text)


def test_bad_values_raise() -> None:
    """A text that is no value of its type is refused."""
    with pytest.raises(InvalidValueError, match="no whole number"):
        value_of("bigint", "one")
