"""Branch conditions: which arm of an if/else the operands choose (ref §5.2)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from flyteidl.core import condition_pb2

from schemas.values import Failure

_COMPARE: dict[int, Callable[[Any, Any], bool]] = {
    condition_pb2.ComparisonExpression.EQ: operator.eq,
    condition_pb2.ComparisonExpression.NEQ: operator.ne,
    condition_pb2.ComparisonExpression.GT: operator.gt,
    condition_pb2.ComparisonExpression.GTE: operator.ge,
    condition_pb2.ComparisonExpression.LT: operator.lt,
    condition_pb2.ComparisonExpression.LTE: operator.le,
}
_EQUALITY = frozenset(
    {condition_pb2.ComparisonExpression.EQ, condition_pb2.ComparisonExpression.NEQ}
)

_NONE = "none"


class _MalformedError(Exception):
    """The condition can't be evaluated on these operands."""


def operand_names(block: Any) -> tuple[str, ...]:
    """Return the inputs that the conditions of a core.IfElseBlock compare."""
    cases = (block.case, *block.other)
    found = (name for case in cases for name in _names(case.condition))
    return tuple(dict.fromkeys(found))


def choose(block: Any, inputs: Any) -> str | Failure:
    """Return the id of the first arm whose condition holds, or why there is none."""
    try:
        for case in (block.case, *block.other):
            if _holds(case.condition, inputs.literals):
                return str(case.then_node.id)
    except _MalformedError as error:
        return Failure(code="MalformedBranchUserError", message=str(error), kind="USER")
    default = block.WhichOneof("default")
    if default == "else_node":
        return str(block.else_node.id)
    if default == "error":
        message = block.error.message
        return Failure(code="UserProvidedError", message=message, kind="USER")
    return Failure(
        code="MalformedBranchUserError", message="No branch satisfied", kind="USER"
    )


def _names(expression: Any) -> Iterator[str]:
    if expression.WhichOneof("expr") == "conjunction":
        yield from _names(expression.conjunction.left_expression)
        yield from _names(expression.conjunction.right_expression)
        return
    comparison = expression.comparison
    for operand in (comparison.left_value, comparison.right_value):
        if operand.WhichOneof("val") == "var":
            yield operand.var


def _holds(expression: Any, literals: Any) -> bool:
    if expression.WhichOneof("expr") == "conjunction":
        conjunction = expression.conjunction
        left = _holds(conjunction.left_expression, literals)
        right = _holds(conjunction.right_expression, literals)
        is_and = conjunction.operator == condition_pb2.ConjunctionExpression.AND
        return (left and right) if is_and else (left or right)
    comparison = expression.comparison
    left_kind, left_value = _operand(comparison.left_value, literals)
    right_kind, right_value = _operand(comparison.right_value, literals)
    if _NONE in {left_kind, right_kind} and comparison.operator in _EQUALITY:
        is_eq = comparison.operator == condition_pb2.ComparisonExpression.EQ
        return bool((left_kind == right_kind) == is_eq)
    if left_kind != right_kind:
        message = (
            f"Expected operands of one type, but compared {left_kind} with {right_kind}"
        )
        raise _MalformedError(message)
    if comparison.operator not in _COMPARE:
        message = f"Expected a comparison, but got operator {comparison.operator}"
        raise _MalformedError(message)
    if left_kind in {"boolean", _NONE} and comparison.operator not in _EQUALITY:
        message = f"Expected {left_kind}s to be compared by == or !=, but got an order"
        raise _MalformedError(message)
    return _COMPARE[comparison.operator](left_value, right_value)


def _operand(operand: Any, literals: Any) -> tuple[str, Any]:
    if operand.WhichOneof("val") == "var":
        if operand.var not in literals:
            message = f"Expected input '{operand.var}' of the branch, but it is not set"
            raise _MalformedError(message)
        return _scalar(literals[operand.var].scalar, f"'{operand.var}'")
    if operand.WhichOneof("val") == "scalar":
        return _scalar(operand.scalar, "an operand")
    return _primitive(operand.primitive)


def _scalar(scalar: Any, name: str) -> tuple[str, Any]:
    """Return what a scalar says; of a union, what its variant says."""
    kind = scalar.WhichOneof("value")
    if kind == "union":
        return _scalar(scalar.union.value.scalar, name)
    if kind == "none_type":
        return _NONE, None
    if kind != "primitive":
        message = f"Expected {name} to be a primitive, but it is not"
        raise _MalformedError(message)
    return _primitive(scalar.primitive)


def _primitive(primitive: Any) -> tuple[str, Any]:
    kind = primitive.WhichOneof("value")
    if kind is None:
        message = "Expected an operand with a value, but one has none"
        raise _MalformedError(message)
    value = getattr(primitive, kind)
    if kind in {"datetime", "duration"}:
        return kind, value.seconds
    return kind, value
