"""Requirements: the tasks and launch plans that a workflow refers to (ref §3.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flyteidl.core import identifier_pb2, workflow_pb2

from domain.graph import arms_of, entity_ref
from schemas.ids import EntityRef


@dataclass(frozen=True, slots=True)
class Requirements:
    """The entities that must be loaded to compile, each once, in order of use."""

    tasks: tuple[identifier_pb2.Identifier, ...]
    launch_plans: tuple[identifier_pb2.Identifier, ...]


def requirements(
    template: workflow_pb2.WorkflowTemplate,
    sub_workflows: Sequence[workflow_pb2.WorkflowTemplate],
) -> Requirements:
    """Return what a workflow and its sub-workflows refer to.

    A sub-workflow that isn't given is ignored here: compiling reports it.
    """
    known = {entity_ref(sub.id): sub for sub in sub_workflows}
    tasks: dict[EntityRef, identifier_pb2.Identifier] = {}
    launch_plans: dict[EntityRef, identifier_pb2.Identifier] = {}
    for workflow in reachable(template, known):
        for node in all_nodes(workflow):
            target = node.WhichOneof("target")
            if target == "task_node":
                identifier = node.task_node.reference_id
                tasks.setdefault(entity_ref(identifier), identifier)
            elif (
                target == "workflow_node"
                and node.workflow_node.WhichOneof("reference") == "launchplan_ref"
            ):
                identifier = node.workflow_node.launchplan_ref
                launch_plans.setdefault(entity_ref(identifier), identifier)
    return Requirements(tuple(tasks.values()), tuple(launch_plans.values()))


def reachable(
    template: workflow_pb2.WorkflowTemplate,
    known: Mapping[EntityRef, workflow_pb2.WorkflowTemplate],
) -> Iterator[workflow_pb2.WorkflowTemplate]:
    """Yield a workflow, then each sub-workflow it refers to, once, at any depth."""
    seen = {entity_ref(template.id)}
    waiting = [template]
    while waiting:
        workflow = waiting.pop()
        yield workflow
        for used in sub_workflow_refs(workflow):
            if used in known and used not in seen:
                seen.add(used)
                waiting.append(known[used])


def sub_workflow_refs(template: workflow_pb2.WorkflowTemplate) -> tuple[EntityRef, ...]:
    """Return the sub-workflows that the nodes of one workflow run, each once."""
    found = {
        entity_ref(node.workflow_node.sub_workflow_ref): None
        for node in all_nodes(template)
        if node.WhichOneof("target") == "workflow_node"
        and node.workflow_node.WhichOneof("reference") == "sub_workflow_ref"
    }
    return tuple(found)


def all_nodes(template: workflow_pb2.WorkflowTemplate) -> Iterator[workflow_pb2.Node]:
    """Yield every node: top level, failure node, arms of branches, array sub-nodes."""
    waiting = [*template.nodes]
    if template.HasField("failure_node"):
        waiting.append(template.failure_node)
    waiting.reverse()
    while waiting:
        node = waiting.pop()
        yield node
        target = node.WhichOneof("target")
        if target == "branch_node":
            waiting.extend(reversed(arms_of(node.branch_node.if_else)))
        elif target == "array_node":
            waiting.append(node.array_node.node)
