"""Tasks: registered once, never changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flyteidl.admin import task_pb2
from flyteidl.core import identifier_pb2, tasks_pb2

from domain.registry.tasks import register
from schemas.messages.registry_events import TaskRegistered
from schemas.messages.rejections import Reason, Rejected
from tests.support.graphs import identifier, task_template

CPU = tasks_pb2.Resources.CPU
NOW_US = 5


def _request(change: Callable[[Any], object] = lambda _template: None) -> Any:
    template = task_template(kind="python-task")
    template.container.image = "example.org/image:v1"
    template.container.args.append("run")
    change(template)
    request = task_pb2.TaskCreateRequest(id=identifier(identifier_pb2.TASK, "t"))
    request.spec.template.CopyFrom(template)
    request.spec.description.short_description = "adds"
    return request


def _registered(request: Any) -> TaskRegistered:
    (event,) = register((), request, now_us=NOW_US)
    assert isinstance(event, TaskRegistered)
    return event


def _refused(request: Any, *known: TaskRegistered) -> Rejected:
    found = register(known, request, now_us=NOW_US)
    assert isinstance(found, Rejected)
    return found


def test_a_new_task_is_registered() -> None:
    """The event contains all that clients read later."""
    event = _registered(_request())
    assert event.entity.text() == "p/d/t/v"
    assert (event.task_type, event.short_description) == ("python-task", "adds")
    closure = task_pb2.TaskClosure.FromString(event.closure)
    assert closure.compiled_task.template == _request().spec.template
    assert closure.created_at.ToMicroseconds() == NOW_US


def test_the_same_task_again_already_exists() -> None:
    """A second registration is refused as already existing."""
    refused = _refused(_request(), _registered(_request()))
    assert refused.reason is Reason.ALREADY_EXISTS
    assert "identical structure already exists" in refused.detail


def test_other_content_under_the_same_id_is_refused_with_the_difference() -> None:
    """A version never changes; the refusal shows the difference."""
    other = _request(lambda t: t.container.args.append("faster"))
    refused = _refused(other, _registered(_request()))
    assert refused.reason is Reason.INVALID_ARGUMENT
    assert "different structure" in refused.detail
    assert '+      "faster"' in refused.detail


def test_another_description_is_the_same_task() -> None:
    """A task's description is no part of its structure."""
    request = _request()
    request.spec.description.short_description = "sums"
    assert _refused(request, _registered(_request())).reason is Reason.ALREADY_EXISTS


def _resource(side: str, value: str) -> Callable[[Any], object]:
    def change(template: Any) -> None:
        getattr(template.container.resources, side).add(name=CPU, value=value)

    return change


def _both(request: str, limit: str) -> Callable[[Any], object]:
    def change(template: Any) -> None:
        _resource("requests", request)(template)
        _resource("limits", limit)(template)

    return change


def _twice(template: Any) -> None:
    _resource("limits", "1")(template)
    _resource("limits", "2")(template)


def _idle(template: Any) -> None:
    template.container.ClearField("args")


def _pod(template: Any) -> None:
    template.k8s_pod.pod_spec["containers"] = [{"name": "Not A Label"}]


def _untyped(template: Any) -> None:
    template.interface.inputs.variables["z"].SetInParent()


def _unversioned(template: Any) -> None:
    template.metadata.runtime.flavor = "python"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.ClearField("type"), "task with a type"),
        (lambda t: t.ClearField("interface"), "with an interface"),
        (_unversioned, "runtime with a version"),
        (_untyped, "variable 'z' to have a type"),
        (lambda t: t.container.ClearField("image"), "with an image"),
        (_resource("requests", "much"), "request of cpu to be a quantity"),
        (_resource("limits", "NaN"), "limit of cpu to be a quantity"),
        (_resource("limits", "-1"), "limit of cpu to be a quantity"),
        (_twice, "one limit of cpu"),
        (_both("2", "1500m"), "within its limit"),
        (_idle, "command or args"),
        (_pod, "DNS label"),
    ],
)
def test_a_bad_task_is_refused(change: Callable[[Any], object], words: str) -> None:
    """An incomplete task is refused at registration."""
    refused = _refused(_request(change))
    assert refused.reason is Reason.INVALID_ARGUMENT
    assert words in refused.detail


def test_a_request_within_its_limit_is_fine() -> None:
    """Amounts are compared by size, not by text."""
    _registered(_request(_both("900m", "1")))


@pytest.mark.parametrize("part", ["project", "domain", "name", "version"])
def test_an_id_needs_all_its_parts(part: str) -> None:
    """Every part of an id is required."""
    request = _request()
    setattr(request.id, part, "")
    assert f"with a {part}" in _refused(request).detail


def test_an_id_of_another_kind_is_refused() -> None:
    """A workflow's id is no task's."""
    request = _request()
    request.id.resource_type = identifier_pb2.WORKFLOW
    assert "identifier of a TASK" in _refused(request).detail


@pytest.mark.parametrize("name", ["a\0b", "ä" * 300])
def test_an_id_must_fit_into_a_key(name: str) -> None:
    """Postgres stores neither NULs nor keys of any length."""
    request = _request()
    request.id.name = name
    assert _refused(request).reason is Reason.INVALID_ARGUMENT
