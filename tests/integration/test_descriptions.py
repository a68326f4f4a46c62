"""Descriptions of tasks and workflows: registered with them, read and listed."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from flyteidl.admin import common_pb2, description_entity_pb2
from flyteidl.core import identifier_pb2

from tests.integration.conftest import refused
from tests.support.raw import echo_task

pytestmark = pytest.mark.integration
PROJECT, DOMAIN = "flytesnacks", "production"


@pytest.fixture(scope="module", autouse=True)
def _registered(admin: Any) -> None:
    for version, text in (("v1", "adds"), ("v2", "adds more"), ("v3", "")):
        request = echo_task("t")
        request.id.domain, request.id.name = DOMAIN, "described"
        request.id.version = version
        if text:
            description = request.spec.description
            description.short_description = text
            description.long_description.value = f"{text}, at length"
            description.source_code.link = "https://example.org/code"
        admin.CreateTask(request)


def _id(version: str, kind: int = identifier_pb2.TASK) -> Any:
    return common_pb2.ObjectGetRequest(
        id=identifier_pb2.Identifier(
            resource_type=kind, project=PROJECT, domain=DOMAIN, name="described",
            version=version,
        )
    )  # fmt: skip


def _asked(**fields: Any) -> Any:
    at = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN)
    given = {"id": at, "limit": 10, "resource_type": identifier_pb2.TASK, **fields}
    return description_entity_pb2.DescriptionEntityListRequest(**given)


def test_a_description_comes_back(admin: Any) -> None:
    """All of it, with the id of its task."""
    found = admin.GetDescriptionEntity(_id("v1"))

    assert found.id == _id("v1").id
    assert found.short_description == "adds"
    assert found.long_description.value == "adds, at length"
    assert found.source_code.link == "https://example.org/code"


def test_what_has_none_is_missing(admin: Any) -> None:
    """A task without one, a workflow that isn't there, a kind that never has one."""
    with refused(grpc.StatusCode.NOT_FOUND, "DESCRIPTION_ENTITY"):
        admin.GetDescriptionEntity(_id("v3"))
    with refused(grpc.StatusCode.NOT_FOUND, "WORKFLOW"):
        admin.GetDescriptionEntity(_id("v1", identifier_pb2.WORKFLOW))
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "task or a workflow"):
        admin.GetDescriptionEntity(_id("v1", identifier_pb2.LAUNCH_PLAN))


def test_descriptions_are_listed(admin: Any) -> None:
    """The newest first, in pages, filtered; versions without one are left out."""
    first = admin.ListDescriptionEntities(_asked(limit=1))
    assert [d.id.version for d in first.descriptionEntities] == ["v2"]
    rest = admin.ListDescriptionEntities(_asked(limit=5, token=first.token))
    assert [d.id.version for d in rest.descriptionEntities] == ["v1"]
    named = common_pb2.NamedEntityIdentifier(
        project=PROJECT, domain=DOMAIN, name="described"
    )
    wanted = _asked(id=named, filters="eq(version,v1)")
    found = admin.ListDescriptionEntities(wanted).descriptionEntities
    assert [d.short_description for d in found] == ["adds"]
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "filter"):
        admin.ListDescriptionEntities(_asked(filters="eq(nope,1)"))
