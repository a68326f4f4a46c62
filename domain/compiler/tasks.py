"""Tasks: the checks that a task template must pass to be registered (ref §3.1)."""

from __future__ import annotations

from typing import Any

from domain.compiler.errors import CompileErrors


def compile_task(template: Any) -> Any | CompileErrors:
    """Return a core.CompiledTask of a core.TaskTemplate, or what is wrong with it."""
    raise NotImplementedError
