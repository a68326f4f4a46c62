"""Workflows as flytekit registers them: serialized, then handed to the compiler."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from flytekit.configuration import Image, ImageConfig, SerializationSettings
from flytekit.tools.translator import get_serializable

from domain.compiler.compile import LaunchPlanInterface, compile_workflow
from domain.graph import entity_ref
from schemas.ids import EntityRef

_IMAGE = Image("default", "example.org/image", "v1")
_SETTINGS = SerializationSettings(
    project="p",
    domain="d",
    version="v",
    image_config=ImageConfig(_IMAGE, [_IMAGE]),
)


@dataclass(frozen=True)
class Serialized:
    """One workflow and all that it refers to, as protobuf messages."""

    template: Any
    sub_workflows: list[Any]
    tasks: dict[EntityRef, Any]
    launch_plans: dict[EntityRef, LaunchPlanInterface]

    def compile(self) -> Any:
        """Compile it."""
        return compile_workflow(
            self.template, self.sub_workflows, self.tasks, self.launch_plans
        )


def serialize(workflow: Any) -> Serialized:
    """Serialize a flytekit workflow as `pyflyte register` does."""
    entities: OrderedDict[Any, Any] = OrderedDict()
    spec = get_serializable(entities, _SETTINGS, workflow).to_flyte_idl()
    messages = [
        e.to_flyte_idl() for e in entities.values() if hasattr(e, "to_flyte_idl")
    ]
    tasks = [m.template for m in messages if type(m).__name__ == "TaskSpec"]
    plans = [m for m in messages if type(m).__name__ == "LaunchPlan"]
    workflows = {
        entity_ref(m.template.id): m.template
        for m in messages
        if type(m).__name__ == "WorkflowSpec"
    }
    return Serialized(
        template=spec.template,
        sub_workflows=list(spec.sub_workflows),
        tasks={entity_ref(task.id): task for task in tasks},
        launch_plans={entity_ref(p.id): _interface(p, workflows) for p in plans},
    )


def _interface(plan: Any, workflows: dict[EntityRef, Any]) -> LaunchPlanInterface:
    workflow = workflows[entity_ref(plan.spec.workflow_id)]
    inputs = plan.spec.default_inputs
    for name, variable in workflow.interface.inputs.variables.items():
        is_given = name in inputs.parameters or name in plan.spec.fixed_inputs.literals
        if not is_given:
            inputs.parameters[name].var.CopyFrom(variable)
            inputs.parameters[name].required = True
    return LaunchPlanInterface(inputs, workflow.interface.outputs)
