"""Named entities: their descriptions and states."""

from __future__ import annotations

import pytest
from flyteidl.admin import common_pb2
from msgspec.structs import replace

from domain.registry.named_entities import describe
from schemas.messages.registry_events import NamedEntityDescribed
from schemas.messages.rejections import Reason, Rejected

ARCHIVED = common_pb2.NAMED_ENTITY_ARCHIVED
WANTED = NamedEntityDescribed(
    occurred_at_us=5,
    kind="WORKFLOW",
    project="p",
    domain="d",
    name="main",
    description="runs at night",
    state=common_pb2.NAMED_ENTITY_ACTIVE,
)


def test_a_name_is_described_once() -> None:
    """The same description again yields no event; another one does."""
    assert describe((), WANTED) == (WANTED,)
    assert describe((WANTED,), replace(WANTED, occurred_at_us=9)) == ()
    other = replace(WANTED, description="runs by day")
    assert describe((WANTED,), other) == (other,)
    assert describe((WANTED, other), WANTED) == (WANTED,)


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({"state": ARCHIVED}, True),
        ({"state": ARCHIVED, "kind": "TASK"}, True),
        ({"state": ARCHIVED, "kind": "LAUNCH_PLAN"}, False),
        ({"kind": "LAUNCH_PLAN"}, True),
        ({"state": 99}, False),
        ({"description": "d" * 300}, True),
        ({"description": "d" * 301}, False),
    ],
)
def test_descriptions_and_states_are_bounded(
    change: dict[str, object], *, good: bool
) -> None:
    """Only tasks and workflows are archived; descriptions stay short."""
    found = describe((), replace(WANTED, **change))
    assert good != isinstance(found, Rejected)
    if isinstance(found, Rejected):
        assert found.reason is Reason.INVALID_ARGUMENT
