"""Compile errors, as values (ref §3.5)."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

TEXT_ERRORS_MAX = 50
"""How many errors `CompileErrors.text` lists; the others are counted."""


class Code(StrEnum):
    """Why a graph was refused; the names are Flyte's."""

    CYCLE_DETECTED = "CycleDetected"
    BRANCH_NODE_ID_NOT_FOUND = "BranchNodeIdNotFound"
    BRANCH_NODE_HAS_NO_CONDITION = "BranchNodeHasNoCondition"
    BRANCH_NODE_HAS_NO_DEFAULT = "BranchNodeHasNoDefault"
    VALUE_REQUIRED = "ValueRequired"
    INVALID_VALUE = "InvalidValue"
    NODE_REFERENCE_NOT_FOUND = "NodeReferenceNotFound"
    TASK_REFERENCE_NOT_FOUND = "TaskReferenceNotFound"
    WORKFLOW_REFERENCE_NOT_FOUND = "WorkflowReferenceNotFound"
    VARIABLE_NAME_NOT_FOUND = "VariableNameNotFound"
    DUPLICATE_ALIAS = "DuplicateAlias"
    DUPLICATE_ID = "DuplicateId"
    MISMATCHING_TYPES = "MismatchingTypes"
    MISMATCHING_BINDINGS = "MismatchingBindings"
    PARAMETER_BOUND_MORE_THAN_ONCE = "ParameterBoundMoreThanOnce"
    PARAMETER_NOT_BOUND = "ParameterNotBound"
    UNREACHABLE_NODES = "UnreachableNodes"
    UNRECOGNIZED_VALUE = "UnrecognizedValue"
    SYNTAX_ERROR = "SyntaxError"
    NO_NODES_FOUND = "NoNodesFound"
    ILLEGAL_ENUM_VALUE = "IllegalEnumValue"
    AMBIGUOUS_BINDING_UNION_VALUE = "AmbiguousBindingUnionValue"
    INCOMPATIBLE_BINDING_UNION_VALUE = "IncompatibleBindingUnionValue"
    NO_CONDITION_FOUND = "NoConditionFound"
    FIELD_NOT_FOUND = "FieldNotFound"


class Violation(NamedTuple):
    """Why a binding doesn't fit; `text` reads: Expected …, but …."""

    code: Code
    text: str


class CompileError(msgspec.Struct, frozen=True):
    """One error of one node; the description reads: Expected …, but …."""

    code: Code
    node_id: str
    description: str

    def text(self) -> str:
        """Return the error as one line."""
        return f"Code: {self.code}, Node Id: {self.node_id}, {self.description}"


class CompileErrors(msgspec.Struct, frozen=True):
    """All errors of a workflow, in the order they were found; never empty."""

    errors: tuple[CompileError, ...]

    @property
    def codes(self) -> tuple[Code, ...]:
        """Return the code of each error."""
        return tuple(error.code for error in self.errors)

    def text(self) -> str:
        """Return a text of at most `TEXT_ERRORS_MAX` errors, one a line."""
        lines = ["Collected Errors: " + str(len(self.errors))]
        shown = self.errors[:TEXT_ERRORS_MAX]
        lines += [f"\tError {number}: {e.text()}" for number, e in enumerate(shown)]
        if len(self.errors) > len(shown):
            lines.append(f"\t… and {len(self.errors) - len(shown)} more")
        return "\n".join(lines)


class Findings:
    """The errors that the steps of one compilation find."""

    def __init__(self) -> None:
        self._errors: dict[CompileError, None] = {}
        self._place = ""

    def within(self, place: str) -> Findings:
        """Return findings that add to these, each description with its place."""
        inner = Findings()
        inner._errors, inner._place = self._errors, f"{place}: "
        return inner

    def add(self, code: Code, node_id: str, description: str) -> None:
        """Add an error, if the same one isn't there yet."""
        self._errors[CompileError(code, node_id, self._place + description)] = None

    def errors(self) -> CompileErrors | None:
        """Return the errors found, None if there are none."""
        return CompileErrors(tuple(self._errors)) if self._errors else None
