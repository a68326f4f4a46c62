"""What an execution, or one of its tasks, is granted: time, pauses, memory."""

from __future__ import annotations

from flyteidl.core import tasks_pb2

from domain import annotations as wishes
from domain import quantities
from domain.execution.decision import Step, execution_spec
from domain.execution.state.state import Node
from schemas.values import Failure

_OUT_OF_MEMORY = "OOMKilled"
KILLED = frozenset({-9, 137, 247})
"""SIGKILL: seen as a signal, by a shell's convention, and as Kubernetes tells it."""
_DOUBLINGS_MAX = 30


def timeout_us(step: Step) -> int:
    """Return how long the execution may take; 0 for as long as it does."""
    said = wishes.duration_us(_annotation(step, wishes.TIMEOUT))
    limit_us = step.context.limits.execution_timeout_us
    return limit_us if said is None else said


def queueing_budget_us(step: Step) -> int:
    """Return how long an attempt may wait for a runner; 0 for ever (ref §2.3)."""
    template = step.definition.primary.template
    for level in (execution_spec(step.created.spec), template.metadata):
        budget = level.quality_of_service.spec.queueing_budget
        if budget.ToMicroseconds() > 0:
            return int(budget.ToMicroseconds())
    return 0


def pause_us(step: Step, node: Node, failure: Failure) -> int:
    """Return how long to wait before the next attempt: twice as long each time."""
    limits = step.context.limits
    if failure.kind == "SYSTEM":
        first, earlier = limits.system_backoff_us, node.system_failures
    else:
        said = wishes.duration_us(_wish(step, node, wishes.RETRY_BACKOFF))
        first = limits.user_backoff_us if said is None else said
        earlier = node.attempt - node.system_failures
    if not first:
        return 0
    longest = max(first, limits.backoff_max_us)
    return min(first << min(earlier, _DOUBLINGS_MAX), longest)


def memory_factor(step: Step, node: Node) -> float:
    """Return how many times its memory the next attempt gets after what befell this."""
    failure = node.last_failure
    ran_out = node.exit_code in KILLED or (
        failure is not None and failure.code == _OUT_OF_MEMORY
    )
    if not ran_out:
        return node.memory_factor
    said = wishes.memory_factor(_wish(step, node, wishes.MEMORY_FACTOR))
    by = step.context.limits.memory_factor if said is None else said
    return min(node.memory_factor * by, max(by, wishes.FACTOR_MAX))


def memory(step: Step, node: Node) -> str:
    """Return the memory that a grown attempt gets, '' for what the task asks for."""
    if node.memory_factor == 1.0:
        return ""
    resources = step.task_template(node.site).container.resources
    overrides = step.graph_node(node).spec.task_node.overrides.resources
    for asked in (
        overrides.requests or resources.requests,
        overrides.limits or resources.limits,
    ):
        for entry in asked:
            if entry.name == tasks_pb2.Resources.MEMORY:
                return quantities.scale(entry.value, node.memory_factor)
    return ""


def _wish(step: Step, node: Node, key: str) -> str:
    """Return the task's own word, else the execution's, '' without one."""
    name = wishes.VARIABLES[key]
    for variable in step.task_template(node.site).container.env:
        if variable.key == name:
            return str(variable.value)
    return _annotation(step, key)


def _annotation(step: Step, key: str) -> str:
    return str(execution_spec(step.created.spec).annotations.values.get(key, ""))
