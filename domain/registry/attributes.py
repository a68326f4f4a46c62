"""The decider of the matchable attributes of one resource at one place (ref §14)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from flyteidl.admin import matchable_resource_pb2

from domain.registry.identity import invalid
from schemas.messages.registry_events import AttributesDeleted, AttributesSet
from schemas.messages.rejections import Reason, Rejected

Event = AttributesSet | AttributesDeleted
_MESSAGE = matchable_resource_pb2.MatchingAttributes
RESOURCES = {
    "task_resource_attributes": "TASK_RESOURCE",
    "cluster_resource_attributes": "CLUSTER_RESOURCE",
    "execution_queue_attributes": "EXECUTION_QUEUE",
    "execution_cluster_label": "EXECUTION_CLUSTER_LABEL",
    "plugin_overrides": "PLUGIN_OVERRIDE",
    "workflow_execution_config": "WORKFLOW_EXECUTION_CONFIG",
    "cluster_assignment": "CLUSTER_ASSIGNMENT",
}
"""The resource that each kind of attributes is for; quality of service is refused."""


class AttributesKey(msgspec.Struct, frozen=True, kw_only=True):
    """Whom attributes are for: '' where they hold for all."""

    resource: str
    project: str
    domain: str = ""
    workflow: str = ""
    launch_plan: str = ""

    def text(self) -> str:
        """Return the place as people write it."""
        parts = (self.project, self.domain, self.workflow, self.launch_plan)
        return f"{self.resource} of {'/'.join(part for part in parts if part)}"


def resource_of(attributes: Any) -> str | Rejected:
    """Return the resource that an admin.MatchingAttributes is for."""
    kind = attributes.WhichOneof("target")
    if kind not in RESOURCES:
        return invalid(f"Unrecognized matching attributes type: {kind or 'none given'}")
    return RESOURCES[kind]


def replace(
    known: Sequence[Event], place: AttributesKey, attributes: Any, *, now_us: int
) -> Sequence[Event] | Rejected:
    """Set attributes; plugin overrides are merged by task type."""
    before = current(known)
    if place.resource == "PLUGIN_OVERRIDE" and before is not None:
        attributes = _merged(before, attributes)
    data = attributes.SerializeToString(deterministic=True)
    if before is not None and before.SerializeToString(deterministic=True) == data:
        return ()
    return (
        AttributesSet(
            occurred_at_us=now_us, attributes=data, **msgspec.structs.asdict(place)
        ),
    )


def delete(
    known: Sequence[Event], place: AttributesKey, *, now_us: int
) -> Sequence[Event] | Rejected:
    """Delete attributes that are set."""
    if current(known) is None:
        return missing(place)
    return (AttributesDeleted(occurred_at_us=now_us, **msgspec.structs.asdict(place)),)


def current(known: Sequence[Event]) -> Any | None:
    """Return the admin.MatchingAttributes that hold now; None if none do."""
    if known and isinstance(known[-1], AttributesSet):
        return _MESSAGE.FromString(known[-1].attributes)
    return None


def missing(place: AttributesKey) -> Rejected:
    """Return the refusal for a place without attributes."""
    detail = (
        f"missing entity of type MATCHABLE_ATTRIBUTES with identifier {place.text()}"
    )
    return Rejected(Reason.NOT_FOUND, detail)


def _merged(before: Any, given: Any) -> Any:
    overrides = {o.task_type: o for o in before.plugin_overrides.overrides}
    overrides.update({o.task_type: o for o in given.plugin_overrides.overrides})
    merged = _MESSAGE()
    merged.plugin_overrides.overrides.extend(overrides.values())
    return merged
