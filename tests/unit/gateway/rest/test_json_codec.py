"""HTTP bodies and messages: the three forms, parameters, what can't be read."""

from __future__ import annotations

import json

import pytest
from flyteidl.admin import execution_pb2, project_pb2

from gateway.rest.json_codec import (
    Form,
    InvalidRequestError,
    forms,
    read_request,
    write_reply,
)
from gateway.rest.route_table import Match, RouteTable, routes

TABLE = RouteTable(routes())


def _match(http_method: str, path: str) -> Match:
    found = TABLE.find(http_method, path)
    assert isinstance(found, Match)
    return found


@pytest.mark.parametrize(
    ("accept", "content_type", "expected"),
    [
        ("", "", (Form.CAMEL, Form.CAMEL)),
        ("*/*", "", (Form.CAMEL, Form.CAMEL)),
        ("application/json", "", (Form.CAMEL, Form.SNAKE)),
        ("*/*", "application/json; charset=utf-8", (Form.SNAKE, Form.SNAKE)),
        ("application/octet-stream", "", (Form.CAMEL, Form.BINARY)),
        ("", "application/octet-stream", (Form.BINARY, Form.BINARY)),
        ("text/html, application/json;q=0.9", "", (Form.CAMEL, Form.SNAKE)),
    ],
)
def test_chooses_forms_as_the_real_gateway(
    accept: str, content_type: str, expected: tuple[Form, Form]
) -> None:
    """Either header may ask for JSON by proto names or for bytes (ref §1.1)."""
    assert forms(accept, content_type) == expected


def test_writes_defaults_names_and_large_numbers() -> None:
    """Unset fields are there, enums are names, 64-bit integers are text."""
    reply = execution_pb2.Execution()
    reply.closure.phase = 4
    reply.spec.inputs.literals["x"].scalar.primitive.integer = 2**60
    camel = json.loads(write_reply(reply, Form.CAMEL)[0])
    snake = json.loads(write_reply(reply, Form.SNAKE)[0])
    assert camel["closure"]["phase"] == "SUCCEEDED"
    assert camel["closure"]["startedAt"] is None
    assert snake["closure"]["started_at"] is None
    assert snake["spec"]["max_parallelism"] == 0
    value = camel["spec"]["inputs"]["literals"]["x"]["scalar"]["primitive"]
    assert value == {"integer": str(2**60)}


def test_reads_what_it_wrote() -> None:
    """A reply in each form reads back as the same message."""
    project = project_pb2.ProjectRegisterRequest()
    project.project.id = "p"
    project.project.labels.values["a"] = "b"
    match = _match("POST", "/api/v1/projects")
    for form in Form:
        body, _ = write_reply(project, form)
        assert read_request(match, (), body, form) == project


def test_fills_nested_fields_from_the_query() -> None:
    """Parameters name fields by path, in either spelling; unknown ones are ignored."""
    request = read_request(
        _match("GET", "/api/v1/executions/p/d"),
        [
            ("limit", "7"),
            ("sort_by.key", "created_at"),
            ("sortBy.direction", "ASCENDING"),
            ("id.project", "another"),
            ("bogus", "1"),
        ],
        b"",
        Form.CAMEL,
    )
    assert (request.limit, request.sort_by.key) == (7, "created_at")
    assert request.sort_by.direction == 1
    assert request.id.project == "p"


def test_reads_enums_in_paths_by_name_and_number() -> None:
    """An enum's name and its number mean the same."""
    for text in ("WORKFLOW", "2"):
        match = _match("GET", f"/api/v1/named_entities/{text}/p/d")
        assert read_request(match, (), b"", Form.CAMEL).resource_type == 2


@pytest.mark.parametrize(
    ("name", "text", "detail"),
    [
        ("limit", "x", "Expected 'limit' to be an unsigned 32-bit integer"),
        ("limit", "-1", "Expected 'limit' to be an unsigned 32-bit integer"),
        ("sort_by.direction", "UP", "one of DESCENDING, ASCENDING"),
    ],
)
def test_refuses_parameters_that_do_not_fit(name: str, text: str, detail: str) -> None:
    """The error about a parameter names what was expected."""
    match = _match("GET", "/api/v1/executions/p/d")
    with pytest.raises(InvalidRequestError, match=detail):
        read_request(match, [(name, text)], b"", Form.CAMEL)


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b'{"project": ', Form.SNAKE),
        (b'{"project": 3}', Form.CAMEL),
        (b"\xff\xfe", Form.CAMEL),
        (b"[]", Form.CAMEL),
        (b'"text"', Form.SNAKE),
        (b"\x0a\xff", Form.BINARY),
        (b"[" * 5000, Form.SNAKE),
        (b'{"project":' * 500, Form.SNAKE),
    ],
)
def test_refuses_bodies_that_can_not_be_read(body: bytes, form: Form) -> None:
    """A damaged body is a bad request, never a crash."""
    with pytest.raises(InvalidRequestError, match="Expected"):
        read_request(_match("POST", "/api/v1/projects"), (), body, form)
