"""Compile errors: all of them, each with code, node and description (ref §3.5)."""

from __future__ import annotations

import msgspec


class CompileError(msgspec.Struct, frozen=True):
    """One thing that is wrong with a workflow; codes are Flyte's."""

    code: str
    node_id: str
    description: str


class CompileErrors(msgspec.Struct, frozen=True):
    """Why a workflow doesn't compile."""

    errors: tuple[CompileError, ...]

    def text(self) -> str:
        """Return all errors in one readable text."""
        lines = [
            f"Expected a workflow that compiles, but it has {len(self.errors)} errors:"
        ]
        for number, error in enumerate(self.errors):
            lines.append(
                f"Error {number}: Code: {error.code}, Node Id: {error.node_id}, "
                f"Description: {error.description}"
            )
        return "\n".join(lines)


class Findings:
    """Collects errors while one workflow compiles."""

    def __init__(self) -> None:
        """Begin with none."""
        self.errors: list[CompileError] = []

    def add(self, code: str, node_id: str, description: str) -> None:
        """Note one more error."""
        self.errors.append(CompileError(code, node_id, description))
