"""Fields of messages from text: what path parts and parameters of a URL may set."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.admin import common_pb2, execution_pb2, project_pb2
from flyteidl.core import literals_pb2, tasks_pb2

from gateway.rest.message_fields import InvalidFieldError, set_field

ListRequest = common_pb2.ResourceListRequest


def _set(message: Any, path: str, text: str) -> Any:
    assert set_field(message, path, text)
    return message


def test_a_path_leads_into_messages() -> None:
    """Names may be as in the message or in camel case, as in Flyte's gateway."""
    request = ListRequest()
    _set(request, "id.project", "p")
    _set(request, "sortBy.key", "name")

    assert request.id.project == "p"
    assert request.sort_by.key == "name"


@pytest.mark.parametrize(
    "path", ["nowhere", "id.nowhere", "limit.x", "nowhere.x", "sortBy.key.x"]
)
def test_a_path_without_a_field_sets_nothing(path: str) -> None:
    """Clients send parameters of newer servers: the caller decides what that means."""
    request = ListRequest()

    assert not set_field(request, path, "1")
    assert not request.limit


def test_a_path_does_not_lead_into_lists() -> None:
    """An item of a list has no name."""
    projects = project_pb2.Projects()

    assert not set_field(projects, "projects.id", "p")


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("1", True), ("F", False), ("0", False)]
)
def test_flags_are_written_as_go_reads_them(text: str, *, expected: bool) -> None:
    """Among them t, f, 1 and 0, which JSON doesn't have."""
    runtime = tasks_pb2.TaskMetadata()

    assert _set(runtime, "discoverable", text).discoverable is expected


@pytest.mark.parametrize("text", ["ASCENDING", "1"])
def test_enums_are_names_or_numbers(text: str) -> None:
    """As in a body."""
    found = _set(ListRequest(), "sort_by.direction", text)

    assert found.sort_by.direction == common_pb2.Sort.ASCENDING


def test_a_repeated_field_gets_one_more_item() -> None:
    """A parameter may be given several times."""
    container = tasks_pb2.Container()
    _set(container, "args", "a")
    _set(container, "args", "b")

    assert list(container.args) == ["a", "b"]


def test_an_entry_of_a_map_is_named_by_its_key() -> None:
    """In brackets, as `labels[team]`; entries are added to others."""
    labels = project_pb2.Project()
    _set(labels, "labels.values[team]", "a")
    _set(labels, "labels.values[tier]", "b")

    assert dict(labels.labels.values) == {"team": "a", "tier": "b"}


def test_a_message_is_written_as_json() -> None:
    """A time as its text, other messages as objects."""
    literal = literals_pb2.Primitive()
    _set(literal, "datetime", "2026-01-05T00:00:00Z")
    assert literal.datetime.seconds == 1_767_571_200
    request = execution_pb2.ExecutionCreateRequest()
    _set(request, "spec.launchPlan", '{"name": "lp"}')
    assert request.spec.launch_plan.name == "lp"


def test_a_field_is_replaced_by_a_later_text() -> None:
    """The last one holds, also where one message follows another."""
    request = ListRequest(limit=1)
    request.id.domain = "d"
    _set(request, "limit", "2")
    _set(request, "id", '{"project": "p"}')

    assert request.limit == 2
    assert (request.id.project, request.id.domain) == ("p", "")


@pytest.mark.parametrize(
    ("message", "path", "text", "expected"),
    [
        (ListRequest(), "limit", "many", "'limit' to be an unsigned 32-bit integer"),
        (ListRequest(), "limit", "-1", "'limit' to be an unsigned 32-bit integer"),
        (literals_pb2.Primitive(), "integer", "1.5", "a 64-bit integer, but got '1.5'"),
        (literals_pb2.Primitive(), "float_value", "x", "to be a number, but got 'x'"),
        (literals_pb2.Primitive(), "boolean", "yes", "to be true or false"),
        (literals_pb2.Primitive(), "datetime", "noon", "to be Timestamp"),
        (ListRequest(), "id", "{", "'id' to be NamedEntityIdentifier, but got '{'"),
        (ListRequest(), "sort_by.direction", "UP", "one of DESCENDING, ASCENDING"),
        (ListRequest(), "id[p]", "x", "Expected 'id[p]' to name a map, but it is none"),
        (ListRequest(), "limit[p]", "1", "to name a map"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_expected(
    message: Any, path: str, text: str, expected: str
) -> None:
    """The error names the parameter, the kind of its field, and the text."""
    with pytest.raises(InvalidFieldError) as refused:
        set_field(message, path, text)

    assert expected in str(refused.value)
