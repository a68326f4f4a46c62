"""Branch conditions: which arm of an if/else block is taken (ref §5.2)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flyteidl.core import condition_pb2, literals_pb2, workflow_pb2

from schemas.values import ErrorKind, Failure

_Value = bool | int | float | str | None
_COMPARE: Mapping[int, Callable[[Any, Any], bool]] = {  # of two values of one type
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


def operand_names(block: workflow_pb2.IfElseBlock) -> tuple[str, ...]:
    """Return the names of the inputs that the conditions of a block compare."""
    cases = (block.case, *block.other)
    found = (name for case in cases for name in _names(case.condition))
    return tuple(dict.fromkeys(found))


def choose(
    block: workflow_pb2.IfElseBlock, inputs: literals_pb2.LiteralMap
) -> str | Failure:
    """Return the id of the first arm whose condition holds, or why there is none."""
    try:
        for case in (block.case, *block.other):
            if _holds(case.condition, inputs.literals):
                return case.then_node.id
    except _MalformedError as error:
        return Failure(
            code="MalformedBranchUserError", message=str(error), kind=ErrorKind.USER
        )
    default = block.WhichOneof("default")
    if default == "else_node":
        return block.else_node.id
    if default == "error":
        message = block.error.message
        return Failure(code="UserProvidedError", message=message, kind=ErrorKind.USER)
    return Failure(
        code="MalformedBranchUserError",
        message="No branch satisfied",
        kind=ErrorKind.USER,
    )


def _names(expression: condition_pb2.BooleanExpression) -> Iterator[str]:
    if expression.WhichOneof("expr") == "conjunction":
        yield from _names(expression.conjunction.left_expression)
        yield from _names(expression.conjunction.right_expression)
        return
    comparison = expression.comparison
    for operand in (comparison.left_value, comparison.right_value):
        if operand.WhichOneof("val") == "var":
            yield operand.var


def _holds(
    expression: condition_pb2.BooleanExpression,
    literals: Mapping[str, literals_pb2.Literal],
) -> bool:
    if expression.WhichOneof("expr") == "conjunction":
        conjunction = expression.conjunction
        left = _holds(conjunction.left_expression, literals)
        right = _holds(conjunction.right_expression, literals)
        is_and = conjunction.operator == condition_pb2.ConjunctionExpression.AND
        return (left and right) if is_and else (left or right)
    comparison = expression.comparison
    return _compare(
        comparison.operator,
        _operand(comparison.left_value, literals),
        _operand(comparison.right_value, literals),
    )


def _compare(
    comparator: condition_pb2.ComparisonExpression.Operator,
    left: tuple[str, _Value],
    right: tuple[str, _Value],
) -> bool:
    """Compare two operands, each a type's name and a value of it."""
    (left_kind, left_value), (right_kind, right_value) = left, right
    if _NONE in {left_kind, right_kind} and comparator in _EQUALITY:
        is_eq = comparator == condition_pb2.ComparisonExpression.EQ
        return (left_kind == right_kind) == is_eq
    if left_kind != right_kind:
        message = (
            f"Expected operands of one type, but compared {left_kind} with {right_kind}"
        )
        raise _MalformedError(message)
    if comparator not in _COMPARE:
        message = f"Expected a comparison, but got operator {comparator}"
        raise _MalformedError(message)
    if left_kind in {"boolean", _NONE} and comparator not in _EQUALITY:
        message = f"Expected {left_kind}s to be compared by == or !=, but got an order"
        raise _MalformedError(message)
    return _COMPARE[comparator](left_value, right_value)


def _operand(
    operand: condition_pb2.Operand, literals: Mapping[str, literals_pb2.Literal]
) -> tuple[str, _Value]:
    if operand.WhichOneof("val") == "var":
        if operand.var not in literals:
            message = f"Expected input '{operand.var}' of the branch, but it is not set"
            raise _MalformedError(message)
        return _scalar(literals[operand.var].scalar, f"'{operand.var}'")
    if operand.WhichOneof("val") == "scalar":
        return _scalar(operand.scalar, "an operand")
    return _primitive(operand.primitive)


def _scalar(scalar: literals_pb2.Scalar, name: str) -> tuple[str, _Value]:
    """Return the type and value of a scalar; of a union, those of its variant."""
    kind = scalar.WhichOneof("value")
    if kind == "union":
        return _scalar(scalar.union.value.scalar, name)
    if kind == "none_type":
        return _NONE, None
    if kind != "primitive":
        message = f"Expected {name} to be a primitive, but it is not"
        raise _MalformedError(message)
    return _primitive(scalar.primitive)


def _primitive(primitive: literals_pb2.Primitive) -> tuple[str, _Value]:
    match kind := primitive.WhichOneof("value"):
        case None:
            message = "Expected an operand with a value, but one has none"
            raise _MalformedError(message)
        case "datetime":
            return kind, primitive.datetime.seconds
        case "duration":
            return kind, primitive.duration.seconds
        case _:
            value: _Value = getattr(primitive, kind)
            return kind, value
