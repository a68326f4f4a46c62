"""Limits of an execution and its attempts: time, pauses between attempts, memory."""

from __future__ import annotations

from flyteidl.core import tasks_pb2

from domain import quantities
from domain.annotations import (
    FACTOR_MAX,
    MEMORY_FACTOR,
    RETRY_BACKOFF,
    TIMEOUT,
    VARIABLES,
    duration_us,
)
from domain.annotations import memory_factor as read_factor
from domain.execution.state.node import Node
from domain.execution.state.site import Site
from domain.execution.view import ExecutionView
from schemas.values import ErrorKind, Failure

_OUT_OF_MEMORY = "OOMKilled"
KILLED = frozenset({-9, 137, 247})
"""Exit codes of SIGKILL: as a signal, by a shell's convention, as Kubernetes has it."""
_DOUBLINGS_MAX = 30


def execution_timeout_us(view: ExecutionView) -> int | None:
    """Return how long the execution may take; None for any time."""
    asked = duration_us(_annotation(view, TIMEOUT))
    limit_us = view.context.limits.execution_timeout_us if asked is None else asked
    return limit_us or None


def queueing_budget_us(view: ExecutionView) -> int | None:
    """Return how long an attempt may wait for a runner; None for ever (ref §2.3)."""
    template = view.definition.primary.template
    for level in (view.spec, template.metadata):
        budget = level.quality_of_service.spec.queueing_budget
        if budget.ToMicroseconds() > 0:
            return budget.ToMicroseconds()
    return None


def node_timeout_us(view: ExecutionView, site: Site) -> int | None:
    """Return how long a node may take by its own setting; None if it has none."""
    timeout = view.graph_node(site).spec.metadata.timeout
    return timeout.ToMicroseconds() or None


def attempt_timeout_us(view: ExecutionView, site: Site) -> int | None:
    """Return how long an attempt may run: the node's setting, else the task's."""
    on_task = view.task_template(site).metadata.timeout
    return node_timeout_us(view, site) or on_task.ToMicroseconds() or None


def pause_us(view: ExecutionView, node: Node, failure: Failure) -> int:
    """Return how long to wait before the next attempt: twice as long each time."""
    limits = view.context.limits
    system_failures = node.retries.system_failures
    if failure.kind == ErrorKind.SYSTEM:
        first, earlier = limits.system_backoff_us, system_failures
    else:
        asked = duration_us(_asked(view, node, RETRY_BACKOFF))
        first = limits.user_backoff_us if asked is None else asked
        earlier = node.attempt - system_failures
    if not first:
        return 0
    longest = max(first, limits.backoff_max_us)
    return min(first << min(earlier, _DOUBLINGS_MAX), longest)


def memory_factor(view: ExecutionView, node: Node) -> float:
    """Return the next attempt's memory factor: larger if this one ran out of memory."""
    failure, factor = node.last_failure, node.retries.memory_factor
    was_killed = node.task is not None and node.task.exit_code in KILLED
    if not was_killed and (failure is None or failure.code != _OUT_OF_MEMORY):
        return factor
    asked = read_factor(_asked(view, node, MEMORY_FACTOR))
    by = view.context.limits.memory_factor if asked is None else asked
    return min(factor * by, max(by, FACTOR_MAX))


def memory(view: ExecutionView, node: Node) -> str:
    """Return the memory of an attempt with a factor; '' for what the task asks for."""
    if node.retries.memory_factor == 1.0:
        return ""
    resources = view.task_template(node.site).container.resources
    overrides = view.graph_node(node.site).spec.task_node.overrides.resources
    for asked in (
        overrides.requests or resources.requests,
        overrides.limits or resources.limits,
    ):
        for entry in asked:
            if entry.name == tasks_pb2.Resources.MEMORY:
                return quantities.scale(entry.value, node.retries.memory_factor)
    return ""


def _asked(view: ExecutionView, node: Node, key: str) -> str:
    """Return the task's variable, else the execution's annotation; '' for neither."""
    name = VARIABLES[key]
    for variable in view.task_template(node.site).container.env:
        if variable.key == name:
            return variable.value
    return _annotation(view, key)


def _annotation(view: ExecutionView, key: str) -> str:
    return view.spec.annotations.values.get(key, "")
