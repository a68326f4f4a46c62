"""Site: where a node of an execution is, as the domain sees it."""

from __future__ import annotations

import msgspec

from schemas.ids import EntityRef
from schemas.sites import NodeKind, NodeSite

_KINDS = {kind.value: kind for kind in NodeKind}
_NO_ELEMENT = -1
"""The index of an element in messages about nodes that are none."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A NodeSite whose kind and element index are typed; see there for the fields.

    `element` is the index of an array's element, None for all other nodes.
    """

    node_id: str
    spec_node_id: str
    kind: NodeKind
    name: str = ""
    parent_id: str = ""
    parent_attempt: int = 0
    scope: str = ""
    target: EntityRef | None = None
    element: int | None = None

    @property
    def entity(self) -> EntityRef:
        """The task, workflow or launch plan that the node runs, if its kind has one."""
        assert self.target is not None  # noqa: S101 - the compiler rejects others
        return self.target

    def to_message(self) -> NodeSite:
        """Return the site as events carry it."""
        return NodeSite(
            node_id=self.node_id,
            spec_node_id=self.spec_node_id,
            kind=self.kind.value,
            name=self.name,
            parent_id=self.parent_id,
            parent_attempt=self.parent_attempt,
            scope=self.scope,
            target=self.target,
            element=_NO_ELEMENT if self.element is None else self.element,
        )


def read_site(site: NodeSite) -> Site:
    """Return the site that an event carries; raises KeyError for an unknown kind."""
    return Site(
        node_id=site.node_id,
        spec_node_id=site.spec_node_id,
        kind=_KINDS[site.kind],
        name=site.name,
        parent_id=site.parent_id,
        parent_attempt=site.parent_attempt,
        scope=site.scope,
        target=site.target,
        element=None if site.element == _NO_ELEMENT else site.element,
    )
