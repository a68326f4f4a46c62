"""The decider of a resource's matchable attributes at one level (ref §14)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from flyteidl.admin import matchable_resource_pb2

from domain.registry.identity import check_parts, invalid, refused
from domain.text_limits import SPEC_BYTES_MAX, too_long
from schemas.messages.registry_events import AttributesDeleted, AttributesSet
from schemas.messages.rejections import Reason, Rejected

Event = AttributesSet | AttributesDeleted
RESOURCES = {
    "task_resource_attributes": "TASK_RESOURCE",
    "cluster_resource_attributes": "CLUSTER_RESOURCE",
    "execution_queue_attributes": "EXECUTION_QUEUE",
    "execution_cluster_label": "EXECUTION_CLUSTER_LABEL",
    "plugin_overrides": "PLUGIN_OVERRIDE",
    "workflow_execution_config": "WORKFLOW_EXECUTION_CONFIG",
    "cluster_assignment": "CLUSTER_ASSIGNMENT",
}
"""The resource of each kind of attributes; those for quality of service are refused."""


class AttributesKey(msgspec.Struct, frozen=True, kw_only=True):
    """The resource and level that attributes are for.

    `domain`, `workflow` or `launch_plan` is '' where they apply to all of them.
    """

    resource: str
    project: str
    domain: str = ""
    workflow: str = ""
    launch_plan: str = ""

    def text(self) -> str:
        """Return the key as messages write it."""
        parts = (self.project, self.domain, self.workflow, self.launch_plan)
        return f"{self.resource} of {'/'.join(part for part in parts if part)}"


def resource_of(
    attributes: matchable_resource_pb2.MatchingAttributes,
) -> str | Rejected:
    """Return the name of the resource that attributes are for."""
    kind = attributes.WhichOneof("target")
    if kind not in RESOURCES:
        return invalid(f"Unrecognized matching attributes type: {kind or 'none given'}")
    return RESOURCES[kind]


def replace(
    known: Sequence[Event],
    key: AttributesKey,
    attributes: matchable_resource_pb2.MatchingAttributes,
    *,
    now_us: int,
) -> Sequence[Event] | Rejected:
    """Set attributes; plugin overrides are merged by task type."""
    rejected = check_parts(msgspec.structs.asdict(key).items()) or refused(
        too_long("attributes", attributes.SerializeToString(), SPEC_BYTES_MAX)
    )
    if rejected is not None:
        return rejected
    before = current(known)
    if key.resource == "PLUGIN_OVERRIDE" and before is not None:
        attributes = _merged(before, attributes)
    data = attributes.SerializeToString(deterministic=True)
    if before is not None and before.SerializeToString(deterministic=True) == data:
        return ()
    return (
        AttributesSet(
            occurred_at_us=now_us, attributes=data, **msgspec.structs.asdict(key)
        ),
    )


def delete(
    known: Sequence[Event], key: AttributesKey, *, now_us: int
) -> Sequence[Event] | Rejected:
    """Delete attributes; refused if there are none."""
    if current(known) is None:
        return missing(key)
    return (AttributesDeleted(occurred_at_us=now_us, **msgspec.structs.asdict(key)),)


def current(
    known: Sequence[Event],
) -> matchable_resource_pb2.MatchingAttributes | None:
    """Return the attributes in effect, None if there are none."""
    if known and isinstance(known[-1], AttributesSet):
        return matchable_resource_pb2.MatchingAttributes.FromString(
            known[-1].attributes
        )
    return None


def missing(key: AttributesKey) -> Rejected:
    """Return the refusal for a key without attributes."""
    detail = f"missing entity of type MATCHABLE_ATTRIBUTES with identifier {key.text()}"
    return Rejected(Reason.NOT_FOUND, detail)


def _merged(
    before: matchable_resource_pb2.MatchingAttributes,
    given: matchable_resource_pb2.MatchingAttributes,
) -> matchable_resource_pb2.MatchingAttributes:
    overrides = {o.task_type: o for o in before.plugin_overrides.overrides}
    overrides.update({o.task_type: o for o in given.plugin_overrides.overrides})
    merged = matchable_resource_pb2.MatchingAttributes()
    merged.plugin_overrides.overrides.extend(overrides.values())
    return merged
