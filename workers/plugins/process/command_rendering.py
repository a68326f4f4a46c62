"""Command templates and the environment of a task's process (ref §6.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from flyteidl.core import literals_pb2

from schemas.messages.dispatches import RunTask
from schemas.messages.rejections import Reason, Rejected
from workers.plugins.plugin import Work
from workers.plugins.process.literal_text import literal_text

_PLACEHOLDER = re.compile(r"\{\{\s*[.$]([a-zA-Z_][^}\s]*)\s*\}\}")
_INPUTS = "inputs."
_NO_CHECKPOINT = '""'
_INDEX_VARIABLES = frozenset(
    {
        "BATCH_JOB_ARRAY_INDEX_VAR_NAME",
        "BATCH_JOB_ARRAY_INDEX_OFFSET",
        "FLYTE_K8S_ARRAY_INDEX",
    }
)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What to execute: words, the whole environment, and the task's own part of it.

    `own_env` is what sets the task apart from others of its code bundle: what its
    definition and its execution add, but for the place in a map.
    """

    words: tuple[str, ...]
    env: dict[str, str]
    own_env: dict[str, str]


def render_command(
    work: Work, container: Any, inputs: bytes, base: Mapping[str, str]
) -> Command | Rejected:
    """Return the command of a container, its placeholders filled in.

    Refuses an input that isn't there or that has no text. Unknown placeholders stay.
    """
    known = _places(work)
    literals = literals_pb2.LiteralMap.FromString(inputs).literals
    texts = [*container.command, *container.args]
    values = {pair.key: pair.value for pair in container.env}
    rendered: list[str] = []
    for text in (*texts, *values.values()):
        filled = _fill(text, known, literals)
        if isinstance(filled, Rejected):
            return filled
        rendered.append(filled)
    own = dict(zip(values, rendered[len(texts) :], strict=True))
    own.update({pair.key: pair.value for pair in work.dispatch.envs})
    return Command(
        words=tuple(rendered[: len(texts)]),
        env={**base, **own, **_platform(work.dispatch)},
        own_env={k: v for k, v in own.items() if k not in _INDEX_VARIABLES},
    )


def asks_for_template(texts: Sequence[str]) -> bool:
    """Tell whether a command names the file with its task's template."""
    return any(
        found.lower() == "tasktemplatepath"
        for text in texts
        for found in _PLACEHOLDER.findall(text)
    )


def template_path(work: Work) -> str:
    """Return where the task's template is written for a command that asks for it."""
    return f"{work.output_prefix}/task.pb"


def _places(work: Work) -> dict[str, str]:
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


def _fill(text: str, known: Mapping[str, str], literals: Any) -> str | Rejected:
    refusals: list[Rejected] = []

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if not name.lower().startswith(_INPUTS):
            return known.get(name.lower(), match.group(0))
        found = _input(name[len(_INPUTS) :], literals)
        if isinstance(found, Rejected):
            refusals.append(found)
            return ""
        return found

    filled = _PLACEHOLDER.sub(fill, text)
    return refusals[0] if refusals else filled


def _input(name: str, literals: Any) -> str | Rejected:
    if name not in literals:
        detail = f"Expected an input '{name}' for the command, but there is none"
        return Rejected(Reason.INVALID_ARGUMENT, detail)
    return literal_text(literals[name])


def _place_in_array(index: int) -> dict[str, str]:
    """Return what tells an element of an array its place (ref §5.7)."""
    if index < 0:
        return {}
    return {
        "BATCH_JOB_ARRAY_INDEX_VAR_NAME": "FLYTE_K8S_ARRAY_INDEX",
        "FLYTE_K8S_ARRAY_INDEX": str(index),
    }


def _platform(dispatch: RunTask) -> dict[str, str]:
    """Return what names the execution: it wins over all else (ref §6.4)."""
    w, x, t = dispatch.workflow, dispatch.execution, dispatch.task
    return {
        **_place_in_array(dispatch.array_index),
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
