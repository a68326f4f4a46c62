"""Command templates and the environment of a task's process (ref §6.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyteidl.core import literals_pb2

from schemas.dispatches import RunTask

_PLACEHOLDER = re.compile(r"\{\{\s*[.$]([a-zA-Z_][\w.\-]*)\s*\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where an attempt reads and writes: whole addresses."""

    inputs: str
    output_prefix: str
    raw_output_prefix: str
    previous_checkpoint: str = ""
    template: str = ""


def render(text: str, dispatch: RunTask, places: Places, inputs: bytes) -> str:
    """Fill in a command's placeholders; unknown ones stay as they are."""
    known = {
        "input": places.inputs,
        "inputprefix": places.inputs.rpartition("/")[0],
        "outputprefix": places.output_prefix,
        "rawoutputdataprefix": places.raw_output_prefix,
        "checkpointoutputprefix": f"{places.raw_output_prefix}/_flytecheckpoints",
        "prevcheckpointprefix": places.previous_checkpoint or '""',
        "perretryuniquekey": _unique_key(dispatch.generated_name),
        "tasktemplatepath": places.template,
        "namespace": f"{dispatch.execution.project}-{dispatch.execution.domain}",
    }

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name.lower().startswith("inputs."):
            return _input_text(name[len("inputs.") :], inputs, match.group(0))
        return known.get(name.lower(), match.group(0))

    return _PLACEHOLDER.sub(fill, text)


def _unique_key(name: str) -> str:
    return name if name[:1].isalpha() else f"a{name}"


def _input_text(name: str, inputs: bytes, otherwise: str) -> str:
    literals = literals_pb2.LiteralMap.FromString(inputs).literals
    if name not in literals:
        return otherwise
    return _text(literals[name])


def _text(literal: Any) -> str:
    if literal.WhichOneof("value") == "collection":
        return "[" + ",".join(_text(i) for i in literal.collection.literals) + "]"
    scalar = literal.scalar
    kind = scalar.WhichOneof("value")
    if kind == "primitive" and scalar.primitive.WhichOneof("value"):
        value = getattr(scalar.primitive, scalar.primitive.WhichOneof("value"))
        if isinstance(value, bool):
            return "true" if value else "false"
        return value.ToJsonString() if hasattr(value, "ToJsonString") else str(value)
    if kind == "union":
        return _text(scalar.union.value)
    return str(getattr(getattr(scalar, kind or "blob"), "uri", ""))


def environment(
    base: Mapping[str, str], dispatch: RunTask, container_env: Mapping[str, str]
) -> dict[str, str]:
    """Return a task's environment; what names the execution wins (ref §0b.5)."""
    w, x, t = dispatch.workflow, dispatch.execution, dispatch.task
    return {
        **{k: v for k, v in base.items() if not k.startswith("FLIGHTLOG_")},
        **container_env,
        **{pair.key: pair.value for pair in dispatch.envs},
        "FLYTE_INTERNAL_EXECUTION_WORKFLOW": f"{w.project}:{w.domain}:{w.name}",
        "FLYTE_INTERNAL_EXECUTION_ID": x.name,
        "FLYTE_INTERNAL_EXECUTION_PROJECT": x.project,
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": x.domain,
        "FLYTE_ATTEMPT_NUMBER": str(dispatch.attempt),
        "FLYTE_INTERNAL_TASK_PROJECT": t.project,
        "FLYTE_INTERNAL_TASK_DOMAIN": t.domain,
        "FLYTE_INTERNAL_TASK_NAME": t.name,
        "FLYTE_INTERNAL_TASK_VERSION": t.version,
    }
