"""The messages between the engine and its zygotes, as JSON.

Types alone: the zygote runs under the Python of the tasks and can't import this.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict


class TemplateRequest(TypedDict):
    """To a zygote: fork a template that works in `folder`.

    The descriptor of the socket that the template will serve comes along. `env` and
    `path` are added to its environment and import path.
    """

    folder: str
    env: dict[str, str]
    path: list[str]


class ZygoteReply(TypedDict):
    """Of a zygote, once: its process id when it can fork, or why it can't."""

    ready: NotRequired[int]
    failed: NotRequired[str]


class TaskCommand(TypedDict):
    """What a task does: exec another program, or else call a command of flytekit.

    `module` is the task's module, if flytekit's default resolver will import it.
    """

    args: list[str]
    exec: bool
    env: dict[str, str]
    cwd: str
    log: str
    module: str | None


class TaskRequest(TaskCommand):
    """To a template, one line: fork a task."""

    id: int


class TaskReply(TypedDict):
    """Of a template, one line: a task's process id, and later its exit code."""

    id: int
    pid: NotRequired[int]
    code: NotRequired[int]
