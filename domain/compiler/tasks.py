"""Tasks: the checks of a task template at its registration (ref §3.1)."""

from __future__ import annotations

import re

from flyteidl.core import compiler_pb2, tasks_pb2
from google.protobuf import json_format

from domain import quantities
from domain.annotations import variables_violation
from domain.compiler.errors import Code, CompileErrors, Findings
from domain.literals.json_schemas import JsonObject

_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def compile_task(
    template: tasks_pb2.TaskTemplate,
) -> compiler_pb2.CompiledTask | CompileErrors:
    """Return a compiled task, or what is wrong with its template."""
    found = Findings()
    if not template.HasField("id"):
        text = "Expected a task with an id, but it has none"
        found.add(Code.VALUE_REQUIRED, "root", text)
    target = template.WhichOneof("target")
    if target == "container":
        _check_container(template, found)
    elif target == "k8s_pod":
        _check_pod(template.k8s_pod, found)
    return found.errors() or compiler_pb2.CompiledTask(template=template)


def _check_container(template: tasks_pb2.TaskTemplate, found: Findings) -> None:
    container, interface = template.container, template.interface
    passes_values = interface.inputs.variables or interface.outputs.variables
    if passes_values and not container.command and not container.args:
        text = "Expected a command or args to pass inputs or outputs to, but got none"
        found.add(Code.VALUE_REQUIRED, "container", text)
    if not container.image:
        text = "Expected a container with an image, but it has none"
        found.add(Code.VALUE_REQUIRED, "container", text)
    wrong = variables_violation({entry.key: entry.value for entry in container.env})
    if wrong:
        found.add(Code.INVALID_VALUE, "container.env", wrong)
    for entry in (*container.resources.requests, *container.resources.limits):
        if quantities.parse(entry.value) is None:
            name = tasks_pb2.Resources.ResourceName.Name(entry.name)
            text = f"Expected a quantity, but got '{entry.value}'"
            found.add(Code.UNRECOGNIZED_VALUE, f"resources.{name}", text)


def _check_pod(pod: tasks_pb2.K8sPod, found: Findings) -> None:
    spec: JsonObject = json_format.MessageToDict(pod.pod_spec)
    containers = spec.get("containers", [])
    if not isinstance(containers, list):
        text = "Expected a pod spec with a list of containers, but it is none"
        found.add(Code.INVALID_VALUE, "root", text)
        return
    for container in containers:
        name = container.get("name", "") if isinstance(container, dict) else ""
        if not _DNS_LABEL.fullmatch(str(name)):
            text = f"Expected a container's name to be a DNS label, but got '{name}'"
            found.add(Code.INVALID_VALUE, "root", text)
