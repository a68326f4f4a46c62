"""Projects: registered once, replaced at any time."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.admin import project_pb2

from domain.registry.projects import new_project, register, replace
from schemas.messages.registry_events import ProjectReplaced
from schemas.messages.rejections import Reason, Rejected


def test_a_new_project_is_registered() -> None:
    """The event contains the project."""
    project = new_project("p", "People's")
    (event,) = register((), project, now_us=5)
    assert event.project_id == "p"
    assert project_pb2.Project.FromString(event.project) == project


def test_a_project_exists_once() -> None:
    """An id can't be registered twice, whatever the name."""
    known = register((), new_project("p", "one"), now_us=5)
    assert not isinstance(known, Rejected)
    refused = register(known, new_project("p", "two"), now_us=6)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.ALREADY_EXISTS


@pytest.mark.parametrize(
    "fields",
    [
        {"id": ""},
        {"id": "Upper"},
        {"id": "a_b"},
        {"id": "a" * 64},
        {"id": "-a"},
        {"name": "n" * 65},
        {"description": "d" * 301},
        {"domains": [project_pb2.Domain(id="d")]},
        {"labels": {"values": {f"l{i}": "x" for i in range(17)}}},
    ],
)
def test_a_bad_project_is_refused(fields: dict[str, Any]) -> None:
    """Ids are DNS labels, texts and labels are bounded, domains are the server's."""
    refused = register((), project_pb2.Project(**{"id": "p", **fields}), now_us=5)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.INVALID_ARGUMENT
    assert refused.detail.startswith("Expected ")


def test_a_project_is_replaced_once() -> None:
    """The same content again yields no event, also after a change."""
    known = register((), new_project("p", "one"), now_us=5)
    assert not isinstance(known, Rejected)
    assert replace(known, new_project("p", "one"), now_us=6) == ()
    (event,) = replace(known, new_project("p", "two"), now_us=6)
    assert isinstance(event, ProjectReplaced)
    assert replace((*known, event), new_project("p", "two"), now_us=7) == ()


def test_only_a_known_project_is_replaced_and_by_a_good_one() -> None:
    """Replacing creates nothing."""
    refused = replace((), new_project("p", "one"), now_us=6)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.NOT_FOUND
    known = register((), new_project("p", "one"), now_us=5)
    assert not isinstance(known, Rejected)
    refused = replace(known, new_project("p", "n" * 65), now_us=6)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.INVALID_ARGUMENT
