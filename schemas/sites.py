"""Where a node stands, as events about it carry it."""

from __future__ import annotations

import msgspec

from schemas.ids import EntityRef


class NodeSite(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node stands: its ids, its kind and what it lies in.

    `node_id` is unique in the execution, `spec_node_id` the compiled workflow's.
    `parent_id` is the unique id of the node it lies in ('' at the top). `scope` is the
    unique id of the sub-workflow node whose graph it belongs to ('' for the primary).
    `kind` is start, end, task, workflow, launch_plan, branch, array, gate. `element` is
    the index of an element of an array, whose node is then the parent; -1 for others.
    """

    node_id: str
    spec_node_id: str
    kind: str
    name: str = ""
    parent_id: str = ""
    parent_attempt: int = 0
    scope: str = ""
    target: EntityRef | None = None
    element: int = -1
