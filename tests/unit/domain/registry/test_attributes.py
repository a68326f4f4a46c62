"""Matching attributes: set, merged and deleted at one level."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.admin import matchable_resource_pb2

from domain.registry.attributes import (
    RESOURCES,
    AttributesKey,
    current,
    delete,
    replace,
    resource_of,
)
from schemas.messages.rejections import Reason, Rejected

Attributes = matchable_resource_pb2.MatchingAttributes
PLACE = AttributesKey(resource="WORKFLOW_EXECUTION_CONFIG", project="p", domain="d")
PLUGINS = AttributesKey(resource="PLUGIN_OVERRIDE", project="p", domain="d")


def _config(parallelism: int) -> Any:
    attributes = Attributes()
    attributes.workflow_execution_config.max_parallelism = parallelism
    return attributes


def _overrides(**plugins: str) -> Any:
    attributes = Attributes()
    for task_type, plugin in plugins.items():
        attributes.plugin_overrides.overrides.add(
            task_type=task_type, plugin_id=[plugin]
        )
    return attributes


def _set(place: AttributesKey, *each: Any) -> list[Any]:
    known: list[Any] = []
    for attributes in each:
        events = replace(known, place, attributes, now_us=5)
        assert not isinstance(events, Rejected)
        known += events
    return known


def test_the_last_that_were_set_hold() -> None:
    """Attributes replace those before them."""
    assert current(()) is None
    assert current(_set(PLACE, _config(1), _config(2))) == _config(2)


def test_the_same_again_adds_nothing() -> None:
    """A command that changes nothing yields no events."""
    assert len(_set(PLACE, _config(1), _config(1))) == 1


def test_what_was_deleted_is_gone_and_may_be_set_again() -> None:
    """Deleting is an event like setting."""
    known = _set(PLACE, _config(1))
    known += delete(known, PLACE, now_us=6)
    assert current(known) is None
    assert len(replace(known, PLACE, _config(1), now_us=7)) == 1


def test_what_is_not_set_cannot_be_deleted() -> None:
    """The refusal names the level."""
    refused = delete((), PLACE, now_us=6)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.NOT_FOUND
    assert "WORKFLOW_EXECUTION_CONFIG of p/d" in refused.detail


def test_plugin_overrides_are_merged_by_task_type() -> None:
    """An override of one task type leaves the others as they are."""
    known = _set(PLUGINS, _overrides(a="1", b="1"), _overrides(b="2", c="2"))
    found = current(known).plugin_overrides.overrides
    assert {o.task_type: o.plugin_id[0] for o in found} == {
        "a": "1",
        "b": "2",
        "c": "2",
    }
    assert len(_set(PLUGINS, _overrides(a="1", b="1"), _overrides(b="1"))) == 1


@pytest.mark.parametrize(("field", "resource"), RESOURCES.items())
def test_attributes_tell_their_resource(field: str, resource: str) -> None:
    """Each kind of attributes is for one resource of flyteidl's."""
    attributes = Attributes()
    getattr(attributes, field).SetInParent()
    assert resource_of(attributes) == resource
    assert matchable_resource_pb2.MatchableResource.Value(resource) >= 0


def test_attributes_of_no_known_kind_are_refused() -> None:
    """No attributes, and those for quality of service, are refused."""
    unknown = Attributes()
    unknown.quality_of_service.SetInParent()
    for attributes in (Attributes(), unknown):
        refused = resource_of(attributes)
        assert isinstance(refused, Rejected)
        assert refused.reason is Reason.INVALID_ARGUMENT
