"""The compiler's front door: a template in, a checked closure or errors out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from domain.compiler.errors import CompileErrors
from domain.compiler.interfaces import LaunchPlanInterface
from domain.compiler.requirements import Requirements, requirements
from domain.compiler.single_task import single_task_workflow
from domain.compiler.tasks import compile_task
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
    template: Any,
    sub_workflows: Sequence[Any],
    tasks: Mapping[EntityRef, Any],
    launch_plans: Mapping[EntityRef, LaunchPlanInterface],
) -> Any | CompileErrors:
    """Return a core.CompiledWorkflowClosure, or everything that is wrong with it.

    `template` and `sub_workflows` are core.WorkflowTemplates (left untouched), `tasks`
    core.TaskTemplates; `requirements` tells which tasks and launch plans are needed.
    """
    raise NotImplementedError
