"""What clients may filter and sort by: Flyte's column names on our tables."""

from __future__ import annotations

from projections.filters import Entity

_TIMES = {
    "created_at": "time",
    "updated_at": "time",
    "started_at": "time",
    "duration": "seconds",
}
_ERRORS = {"error_kind": "text", "error_code": "text"}
_NAMED = {"project": "text", "domain": "text", "name": "text", "version": "text"}
_STAMPS = {"created_at": "time", "updated_at": "time"}

WORKFLOWS = Entity(
    "workflows",
    {**_NAMED, **_STAMPS, "short_description": "text"},
    prefixes=("workflow",),
)
TASKS = Entity(
    "tasks",
    {**_NAMED, **_STAMPS, "type": "text", "short_description": "text"},
    prefixes=("task",),
)
LAUNCH_PLANS = Entity(
    "launch_plans",
    {
        **_NAMED,
        **_STAMPS,
        "state": "int",
        "schedule_type": "text",
        "workflow_name": "text",
        "workflow_version": "text",
    },
    prefixes=("launch_plan",),
)
TAGS = Entity("execution_tags", {"key": "text", "value": "text"})
_ON_TAG = "execution_tags.stream = executions.stream"
EXECUTIONS = Entity(
    "executions",
    {
        **_TIMES,
        **_ERRORS,
        "execution_project": "text",
        "execution_domain": "text",
        "execution_name": "text",
        "phase": "text",
        "mode": "int",
        "user": "text",
        "cluster": "text",
        "state": "int",
        "abort_cause": "text",
        "launch_entity": "text",
        "launch_plan_name": "text",
        "workflow_name": "text",
        "task_name": "text",
        "parent_node_id": "text",
    },
    aliases={
        "execution_created_at": "created_at",
        "execution_updated_at": "updated_at",
    },
    prefixes=("execution",),
    joins={
        "execution_tag": (TAGS, _ON_TAG),
        "admin_tag": (TAGS, _ON_TAG),
        "launch_plan": (
            LAUNCH_PLANS,
            "launch_plans.name = executions.launch_plan_name AND "
            "launch_plans.version = executions.launch_plan_version",
        ),
        "workflow": (
            WORKFLOWS,
            "workflows.name = executions.workflow_name AND "
            "workflows.version = executions.workflow_version",
        ),
        "task": (TASKS, "tasks.name = executions.task_name"),
    },
)
NODES = Entity(
    "node_executions",
    {
        **_TIMES,
        **_ERRORS,
        "number": "int",
        "node_id": "text",
        "spec_node_id": "text",
        "phase": "text",
        "parent_id": "text",
        "cache_status": "text",
    },
    aliases={
        "id": "number",
        "node_execution_created_at": "created_at",
        "node_execution_updated_at": "updated_at",
    },
    prefixes=("node_execution",),
    joins={"execution": (EXECUTIONS, "executions.stream = node_executions.stream")},
)
TASK_EXECUTIONS = Entity(
    "task_executions",
    {
        **_TIMES,
        **_ERRORS,
        "name": "text",
        "version": "text",
        "node_id": "text",
        "retry_attempt": "int",
        "phase": "text",
        "phase_version": "int",
    },
    aliases={
        "task_execution_created_at": "created_at",
        "task_execution_updated_at": "updated_at",
    },
    prefixes=("task_execution",),
    joins={"execution": (EXECUTIONS, "executions.stream = task_executions.stream")},
)
PROJECTS = Entity(
    "projects",
    {
        **_STAMPS,
        "identifier": "text",
        "name": "text",
        "description": "text",
        "state": "int",
    },
    prefixes=("project",),
)
