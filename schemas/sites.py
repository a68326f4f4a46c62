"""Sites: where a node stands in its execution, as events carry it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from schemas.ids import EntityRef


class NodeKind(StrEnum):
    """What a node of a compiled workflow does (ref §4.3, §5)."""

    START = "start"
    END = "end"
    TASK = "task"
    WORKFLOW = "workflow"
    LAUNCH_PLAN = "launch_plan"
    BRANCH = "branch"
    ARRAY = "array"
    GATE = "gate"


class NodeSite(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of a node, its kind, and the node that contains it.

    `node_id` is unique in the execution; `spec_node_id` is its id in the compiled
    workflow. `parent_id` is the unique id of the containing node ('' at the top level).
    `scope` is the unique id of the sub-workflow or dynamic node whose graph it belongs
    to ('' for the primary workflow). `kind` is a NodeKind. `element` is the index of an
    array's element, whose parent is the array; -1 for all other nodes.
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
