"""The decider of a named entity: the description and state of all its versions."""

from __future__ import annotations

from collections.abc import Sequence

from flyteidl.admin import common_pb2

from domain.registry.identity import check_parts, invalid
from schemas.messages.registry_events import NamedEntityDescribed
from schemas.messages.rejections import Rejected

DESCRIPTION_MAX = 300
_KINDS_WITH_STATE = frozenset({"TASK", "WORKFLOW"})


def describe(
    known: Sequence[NamedEntityDescribed], wanted: NamedEntityDescribed
) -> Sequence[NamedEntityDescribed] | Rejected:
    """Set the description and state of a named entity (ref §14)."""
    parts = ("project", "domain", "name")
    rejected = check_parts((part, getattr(wanted, part)) for part in parts)
    if rejected is not None:
        return rejected
    if len(wanted.description) > DESCRIPTION_MAX:
        return invalid(
            f"Expected a description of at most {DESCRIPTION_MAX} characters, "
            f"but it has {len(wanted.description)}"
        )
    if wanted.state not in common_pb2.NamedEntityState.values():
        return invalid(f"Expected a state of named entities, but got {wanted.state}")
    if wanted.state != common_pb2.NAMED_ENTITY_ACTIVE and (
        wanted.kind not in _KINDS_WITH_STATE
    ):
        return invalid(
            f"Expected a {wanted.kind} to stay active, as only tasks and workflows "
            "have other states, but another one is asked for"
        )
    if known and _same(known[-1], wanted):
        return ()
    return (wanted,)


def _same(before: NamedEntityDescribed, wanted: NamedEntityDescribed) -> bool:
    return (before.description, before.state) == (wanted.description, wanted.state)
