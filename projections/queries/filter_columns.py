"""What clients may filter and sort by: Flyte's column names on the read models."""

from __future__ import annotations

from projections import registry_rows, rows
from projections.columns import R
from projections.queries.filters import Entity

_STAMPS = ("created_at", "updated_at")
_TIMES = (*_STAMPS, "started_at", "duration")
_ERRORS = ("error_kind", "error_code")
_NAMED = ("project", "domain", "name", "version")
# Flyte numbers rows as they are added: clients sort by that number, not by a time.
_BY_TIME = {"id": "created_at"}
_EXECUTION = ("execution_project", "execution_domain", "execution_name")


def _of_stream(table: str) -> dict[str, str]:
    """Return the SQL of an execution's id, as parts of a row's stream."""
    return {
        name: f"split_part({table}.stream, '/', {place})"
        for place, name in enumerate(_EXECUTION, 2)
    }


def _same(left: str, prefix: str, right: str) -> str:
    """Return the condition that a row has another table's full id."""
    return " AND ".join(f"{left}.{c} = {right}.{prefix}{c}" for c in _NAMED)


# An array's attempt has a new version whenever one of its elements begins, is tried
# again, or ends (ref §5.7).
_PHASE_VERSION = """(task_executions.phase_version + CASE
WHEN task_executions.array_size < 0 THEN 0
ELSE (
    SELECT count(*) + count(element.ended_at) + COALESCE(sum(element.attempt), 0)
    FROM node_executions AS element
    WHERE element.stream = task_executions.stream AND element.element >= 0
        AND element.parent_id = task_executions.node_id
) END)"""

# Nodes of a dynamic workflow name its node and the attempt: n0/0.
_PARENT_ATTEMPT = """(
    SELECT node_executions.parent_id || '/' || node_executions.retry_group
    FROM node_executions AS parent
    WHERE parent.stream = node_executions.stream
        AND parent.node_id = node_executions.parent_id AND parent.is_dynamic
)"""

WORKFLOWS = Entity(
    "workflows",
    registry_rows.WorkflowVersionRow,
    (*_NAMED, *_STAMPS, "short_description", "digest"),
    aliases=_BY_TIME,
    prefixes=("workflow",),
    short="w",
    tie=("name", "version"),
)


def _described(table: str, row: type[R]) -> Entity[R]:
    """Return what may be filtered of the versions that have a description."""
    return Entity(
        table,
        row,
        (*_NAMED, *_STAMPS, "short_description"),
        aliases=_BY_TIME,
        short="d",
        tie=("name", "version"),
    )


DESCRIBED_TASKS = _described("described_tasks", registry_rows.TaskVersionRow)
DESCRIBED_WORKFLOWS = _described(
    "described_workflows", registry_rows.WorkflowVersionRow
)
TASKS = Entity(
    "tasks",
    registry_rows.TaskVersionRow,
    (*_NAMED, *_STAMPS, "type", "short_description", "digest"),
    aliases=_BY_TIME,
    prefixes=("task",),
    short="t",
    tie=("name", "version"),
)
LAUNCH_PLANS = Entity(
    "launch_plans",
    registry_rows.LaunchPlanVersionRow,
    (
        *_NAMED,
        *_STAMPS,
        "state",
        "schedule_type",
        "launch_condition_type",
        "workflow_name",
        "workflow_version",
        "digest",
    ),
    aliases={**_BY_TIME, "workflow_id": "workflow_name"},
    prefixes=("launch_plan",),
    joins={"workflow": (WORKFLOWS, _same("workflows", "workflow_", "launch_plans"))},
    short="l",
    tie=("name", "version"),
)
_TAG = ("key", "value")
_ON_TAG = "execution_tags.stream = executions.stream"
TAGS = Entity("execution_tags", rows.ExecutionTagRow, _TAG, short="et")
ADMIN_TAGS = Entity(
    "execution_tags", rows.ExecutionTagRow, _TAG, aliases={"name": "key"}, short="at"
)
EXECUTIONS = Entity(
    "executions",
    rows.ExecutionRow,
    (
        *_TIMES,
        *_ERRORS,
        *_EXECUTION,
        "stream",
        "phase",
        "mode",
        "user",
        "cluster",
        "state",
        "abort_cause",
        "launch_entity",
        "launch_plan_name",
        "workflow_name",
        "task_name",
        "parent_node_id",
        "source",
    ),
    aliases={
        **_BY_TIME,
        "launch_plan_id": "launch_plan_name",
        "workflow_id": "workflow_name",
        "task_id": "task_name",
        "execution_created_at": "created_at",
        "execution_updated_at": "updated_at",
        "parent_node_execution_id": "parent_node_id",
        "source_execution_id": "source",
    },
    prefixes=("execution",),
    joins={
        "execution_tag": (TAGS, _ON_TAG),
        "admin_tag": (ADMIN_TAGS, _ON_TAG),
        "launch_plan": (
            LAUNCH_PLANS,
            _same("launch_plans", "launch_plan_", "executions"),
        ),
        "workflow": (WORKFLOWS, _same("workflows", "workflow_", "executions")),
        "task": (TASKS, _same("tasks", "task_", "executions")),
    },
    expressions={
        "state": (
            "COALESCE((SELECT execution_states.state FROM execution_states "
            "WHERE execution_states.stream = executions.stream), 0)"
        )
    },
    short="e",
    tie=("stream",),
)
NODES = Entity(
    "node_executions",
    rows.NodeRow,
    (
        *_TIMES,
        *_ERRORS,
        *_EXECUTION,
        "number",
        "node_id",
        "spec_node_id",
        "phase",
        "parent_id",
        "parent_task_execution_id",
        "cache_status",
    ),
    aliases={
        "id": "number",
        "parent_node_execution_id": "parent_id",
        "node_execution_created_at": "created_at",
        "node_execution_updated_at": "updated_at",
    },
    prefixes=("node_execution",),
    joins={"execution": (EXECUTIONS, "executions.stream = node_executions.stream")},
    expressions={
        **_of_stream("node_executions"),
        "parent_task_execution_id": _PARENT_ATTEMPT,
        "cache_status": "('CACHE_' || node_executions.cache_status)",
    },
    short="ne",
    tie=("number",),
)
TASK_EXECUTIONS = Entity(
    "task_executions",
    rows.TaskRow,
    (
        *_TIMES,
        *_ERRORS,
        *_NAMED,
        *_EXECUTION,
        "node_id",
        "retry_attempt",
        "phase",
        "phase_version",
    ),
    aliases={
        **_BY_TIME,
        "task_execution_created_at": "created_at",
        "task_execution_updated_at": "updated_at",
    },
    prefixes=("task_execution",),
    joins={
        "execution": (EXECUTIONS, "executions.stream = task_executions.stream"),
        "node_execution": (
            NODES,
            (
                "node_executions.stream = task_executions.stream "
                "AND node_executions.node_id = task_executions.node_id"
            ),
        ),
        "task": (TASKS, _same("tasks", "", "task_executions")),
    },
    expressions={**_of_stream("task_executions"), "phase_version": _PHASE_VERSION},
    short="te",
    tie=("retry_attempt",),
)
SIGNALS = Entity(
    "signals",
    rows.SignalRow,
    (*_EXECUTION, *_STAMPS, "signal_id", "node_id"),
    aliases=_BY_TIME,
    prefixes=("signal",),
    expressions=_of_stream("signals"),
    short="s",
    tie=("signal_id",),
)
PROJECTS = Entity(
    "projects",
    registry_rows.ProjectRow,
    (*_STAMPS, "identifier", "name", "description", "state"),
    aliases=_BY_TIME,
    prefixes=("project",),
    short="p",
    tie=("identifier",),
)
# The names of one kind of entity, with what people say about them.
NAMES = Entity(
    "names",
    registry_rows.NameRow,
    ("project", "domain", "name", "description", "state", "resource_type", *_STAMPS),
    aliases=_BY_TIME,
    prefixes=("entities", "named_entity_metadata"),
    short="nen",
    tie=("name",),
)
