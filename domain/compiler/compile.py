"""The compiler: from templates to a checked closure, or errors (ref §3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flyteidl.core import compiler_pb2, tasks_pb2, workflow_pb2

from domain.compiler.errors import Code, CompileErrors, Findings
from domain.compiler.interfaces import LaunchPlanInterface, Library
from domain.compiler.requirements import (
    Requirements,
    reachable,
    requirements,
    sub_workflow_refs,
)
from domain.compiler.single_task import single_task_workflow
from domain.compiler.tasks import compile_task
from domain.compiler.workflow import compile_one
from domain.graph import START, entity_ref
from schemas.ids import EntityRef

__all__ = [
    "CompileErrors",
    "LaunchPlanInterface",
    "Requirements",
    "compile_task",
    "compile_workflow",
    "requirements",
    "single_task_workflow",
]


def compile_workflow(
    template: workflow_pb2.WorkflowTemplate,
    sub_workflows: Sequence[workflow_pb2.WorkflowTemplate],
    tasks: Mapping[EntityRef, tasks_pb2.TaskTemplate],
    launch_plans: Mapping[EntityRef, LaunchPlanInterface],
) -> compiler_pb2.CompiledWorkflowClosure | CompileErrors:
    """Return the compiled closure of a workflow, or everything that is wrong with it.

    `requirements` returns which tasks and launch plans must be given. The templates
    aren't changed; the closure contains only what the workflow refers to.
    """
    found = Findings()
    known = _by_ref(sub_workflows, found)
    used = {entity_ref(workflow.id) for workflow in reachable(template, known)}
    _refuse_recursion(template, known, found)
    library = Library(tasks, launch_plans, known)
    closure = compiler_pb2.CompiledWorkflowClosure(
        primary=compile_one(template, library, found)
    )
    for ref, sub in known.items():
        if ref in used and ref != entity_ref(template.id):
            within = found.within(f"sub-workflow {ref.name}")
            closure.sub_workflows.append(compile_one(sub, library, within))
    for identifier in requirements(template, sub_workflows).tasks:
        if entity_ref(identifier) in tasks:
            closure.tasks.add().template.CopyFrom(tasks[entity_ref(identifier)])
    return found.errors() or closure


def _by_ref(
    sub_workflows: Sequence[workflow_pb2.WorkflowTemplate], found: Findings
) -> dict[EntityRef, workflow_pb2.WorkflowTemplate]:
    known: dict[EntityRef, workflow_pb2.WorkflowTemplate] = {}
    for sub in sub_workflows:
        ref = entity_ref(sub.id)
        if ref in known:
            text = f"Expected sub-workflow {ref.text()} once, but it is given twice"
            found.add(Code.DUPLICATE_ID, ref.name, text)
        known.setdefault(ref, sub)
    return known


def _refuse_recursion(
    template: workflow_pb2.WorkflowTemplate,
    known: Mapping[EntityRef, workflow_pb2.WorkflowTemplate],
    found: Findings,
) -> None:
    """Refuse a workflow that runs itself, directly or through others."""
    workflows = {**known, entity_ref(template.id): template}
    runs = {ref: sub_workflow_refs(workflow) for ref, workflow in workflows.items()}
    first = entity_ref(template.id)
    path, waiting, done = [first], [iter(runs[first])], set[EntityRef]()
    while path:
        ref = next(waiting[-1], None)
        if ref is None:
            done.add(path.pop())
            waiting.pop()
        elif ref in path:
            names = " > ".join(r.name for r in (*path[path.index(ref) :], ref))
            text = f"Expected no workflow to run itself, but this one does: {names}"
            found.add(Code.CYCLE_DETECTED, START, text)
        elif ref in runs and ref not in done:
            path.append(ref)
            waiting.append(iter(runs[ref]))
