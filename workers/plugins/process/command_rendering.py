"""Command templates and the environment of a task's process (ref §6.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec
from flyteidl.core import literals_pb2, tasks_pb2

from schemas.messages.dispatches import RunTask
from schemas.messages.rejections import Reason, Rejected
from workers.plugins.plugin import Work, element_index
from workers.plugins.process.literal_text import literal_text

Literals = Mapping[str, literals_pb2.Literal]

_PLACEHOLDER = re.compile(r"\{\{\s*[.$]([a-zA-Z_][^}\s]*)\s*\}\}")
_INPUTS = "inputs."
_NO_CHECKPOINT = '""'
_INDEX_VARIABLE = "FLYTE_K8S_ARRAY_INDEX"
_INDEX_VARIABLES = frozenset(
    {"BATCH_JOB_ARRAY_INDEX_VAR_NAME", "BATCH_JOB_ARRAY_INDEX_OFFSET", _INDEX_VARIABLE}
)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What to execute: the arguments, and the complete environment.

    `own_env` is the part of the environment that the task's definition and execution
    add, without the index in a map: tasks with the same one can share a template.
    """

    args: tuple[str, ...]
    env: dict[str, str]
    own_env: dict[str, str]


def render_command(
    work: Work,
    container: tasks_pb2.Container,
    inputs: bytes,
    base_env: Mapping[str, str],
) -> Command | Rejected:
    """Return the command of a container, its placeholders filled in.

    Rejects an input that is missing or has no text form. Unknown placeholders stay.
    """
    known = _placeholders(work)
    literals = literals_pb2.LiteralMap.FromString(inputs).literals
    texts = [*container.command, *container.args]
    values = {pair.key: pair.value for pair in container.env}
    rendered: list[str] = []
    for text in (*texts, *values.values()):
        filled = _fill(text, known, literals)
        if isinstance(filled, Rejected):
            return filled
        rendered.append(filled)
    own_env = dict(zip(values, rendered[len(texts) :], strict=True))
    own_env.update({pair.key: pair.value for pair in work.dispatch.envs})
    return Command(
        args=tuple(rendered[: len(texts)]),
        env={**base_env, **own_env, **_platform_env(work.dispatch)},
        own_env={k: v for k, v in own_env.items() if k not in _INDEX_VARIABLES},
    )


def uses_template_path(texts: Sequence[str]) -> bool:
    """Return whether a command refers to the file of its task's template."""
    return any(
        name.lower() == "tasktemplatepath"
        for text in texts
        for name in _PLACEHOLDER.findall(text)
    )


def template_path(work: Work) -> str:
    """Return where the task's template is written for a command that refers to it."""
    return f"{work.output_prefix}/task.pb"


def _placeholders(work: Work) -> dict[str, str]:
    """Return the values of placeholders, by their names in lower case."""
    d = work.dispatch
    name = d.generated_name
    return {
        "input": work.input_uri,
        "inputprefix": work.input_uri.rpartition("/")[0],
        "outputprefix": work.output_prefix,
        "rawoutputdataprefix": work.raw_output_prefix,
        "checkpointoutputprefix": work.checkpoint,
        "prevcheckpointprefix": work.previous_checkpoint or _NO_CHECKPOINT,
        "perretryuniquekey": name if name[:1].isalpha() else f"a{name}",
        "tasktemplatepath": template_path(work),
        "namespace": f"{d.execution.project}-{d.execution.domain}",
    }


def _fill(text: str, known: Mapping[str, str], literals: Literals) -> str | Rejected:
    rejections: list[Rejected] = []

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if not name.lower().startswith(_INPUTS):
            return known.get(name.lower(), match.group(0))
        value = _input_text(name[len(_INPUTS) :], literals)
        if isinstance(value, Rejected):
            rejections.append(value)
            return ""
        return value

    filled = _PLACEHOLDER.sub(fill, text)
    return rejections[0] if rejections else filled


def _input_text(name: str, literals: Literals) -> str | Rejected:
    if name not in literals:
        detail = f"Expected an input '{name}' for the command, but there is none"
        return Rejected(Reason.INVALID_ARGUMENT, detail)
    return literal_text(literals[name])


def _index_env(index: int | None) -> dict[str, str]:
    """Return the variables from which a map task reads its index (ref §5.7)."""
    if index is None:
        return {}
    return {
        "BATCH_JOB_ARRAY_INDEX_VAR_NAME": _INDEX_VARIABLE,
        _INDEX_VARIABLE: str(index),
    }


def _platform_env(dispatch: RunTask) -> dict[str, str]:
    """Return what identifies the execution; it overrides all else (ref §6.4)."""
    w, x, t = dispatch.workflow, dispatch.execution, dispatch.task
    return {
        **_index_env(element_index(dispatch)),
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
