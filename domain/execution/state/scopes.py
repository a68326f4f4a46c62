"""Scopes: which graph a scope of an execution runs, and whether it is over."""

from __future__ import annotations

from domain.execution.state.site import Site
from domain.execution.state.state import Execution
from domain.graph import Definition, Graph
from schemas.phases import ExecutionPhase, NodePhase
from schemas.sites import NodeKind


def graph_of(definition: Definition, state: Execution, scope: str) -> Graph:
    """Return the graph whose nodes belong to this scope."""
    owner = owner_of(definition, state, scope)
    if not scope or scope in definition.dynamic_closures:
        return owner.primary
    return owner.sub_workflows[state.nodes[scope].site.entity]


def owner_of(definition: Definition, state: Execution, scope: str) -> Definition:
    """Return the closure that defines a scope: a dynamic node's or the execution's."""
    while scope:
        closure = definition.dynamic_closures.get(scope)
        if closure is not None:
            return closure
        scope = state.nodes[scope].site.scope
    return definition


def is_within(state: Execution, scope: str, outer: str) -> bool:
    """Return whether a scope is another one, or runs somewhere inside it."""
    while scope and scope != outer:
        scope = state.nodes[scope].site.scope
    return scope == outer


def is_superseded(state: Execution, site: Site) -> bool:
    """Return whether a node belongs to a dynamic run that ended or is tried again."""
    while site.parent_id:
        parent = state.nodes[site.parent_id]
        is_over = parent.is_terminal or parent.phase is NodePhase.RETRYABLE_FAILURE
        is_over = is_over or parent.attempt != site.parent_attempt
        if parent.site.kind is NodeKind.TASK and is_over:
            return True
        site = parent.site
    return False


def is_over(state: Execution, scope: str) -> bool:
    """Return whether no node of a scope begins any more."""
    if state.is_terminal or not scope:
        return state.phase is not ExecutionPhase.RUNNING
    node = state.nodes[scope]
    return node.is_terminal or node.phase is NodePhase.FAILING
