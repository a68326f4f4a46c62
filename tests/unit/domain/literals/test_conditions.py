"""Branch conditions: which arm is taken."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import condition_pb2, literals_pb2, workflow_pb2

from domain.literals.conditions import choose, operand_names
from schemas.values import Failure
from tests.support.literals import literals, number, packed, primitive, text

_OPERATORS = condition_pb2.ComparisonExpression.Operator
_ALL = ["EQ", "NEQ", "GT", "GTE", "LT", "LTE"]


def _compare(left: Any, operator: str, right: Any) -> Any:
    expression = condition_pb2.BooleanExpression()
    expression.comparison.operator = _OPERATORS.Value(operator)
    for side, value in (("left_value", left), ("right_value", right)):
        operand = getattr(expression.comparison, side)
        if isinstance(value, str):
            operand.var = value
        else:
            operand.primitive.CopyFrom(value.scalar.primitive)
    return expression


def _join(left: Any, operator: str, right: Any) -> Any:
    expression = condition_pb2.BooleanExpression()
    kind = condition_pb2.ConjunctionExpression.LogicalOperator
    expression.conjunction.operator = kind.Value(operator)
    expression.conjunction.left_expression.CopyFrom(left)
    expression.conjunction.right_expression.CopyFrom(right)
    return expression


def _block(*conditions: Any, otherwise: str = "") -> Any:
    block = workflow_pb2.IfElseBlock()
    for place, condition in enumerate(conditions):
        case = block.other.add() if place else block.case
        case.condition.CopyFrom(condition)
        case.then_node.id = f"arm{place}"
    if otherwise:
        block.else_node.id = otherwise
    return block


def _holds(condition: Any, **inputs: Any) -> bool:
    chosen = choose(_block(condition, otherwise="else"), literals(**inputs))
    assert chosen in {"arm0", "else"}, chosen
    return chosen == "arm0"


@pytest.mark.parametrize(
    ("left", "right", "true"),
    [
        (number(1), number(2), {"NEQ", "LT", "LTE"}),
        (number(2), number(2), {"EQ", "GTE", "LTE"}),
        (text("b"), text("a"), {"NEQ", "GT", "GTE"}),
        (primitive(float_value=0.5), primitive(float_value=1.5), {"NEQ", "LT", "LTE"}),
    ],
)
def test_operands_are_compared_by_every_operator(
    left: Any, right: Any, true: set[str]
) -> None:
    """Numbers compare by value, texts in alphabetical order."""
    held = {op for op in _ALL if _holds(_compare("a", op, right), a=left)}
    assert true == held


def test_times_are_compared_by_seconds() -> None:
    """Times that differ by less than a second are equal, as in Flyte."""
    early, late = primitive(datetime={"seconds": 5}), primitive(datetime={"seconds": 5})
    late.scalar.primitive.datetime.nanos = 9
    assert _holds(_compare("a", "EQ", early), a=late)
    short, long = primitive(duration={"seconds": 5}), primitive(duration={"seconds": 6})
    assert _holds(_compare("a", "LT", long), a=short)


@pytest.mark.parametrize("held", [number(3), None])
def test_nothing_is_equal_to_nothing_only(held: Any) -> None:
    """An optional's value is compared without its union; `is_none()` works too."""
    nothing = literals_pb2.Literal(
        scalar=literals_pb2.Scalar(none_type=literals_pb2.Void())
    )
    optional = literals_pb2.Literal()
    optional.scalar.union.value.CopyFrom(held or nothing)
    is_none = _compare("a", "EQ", number(3))
    is_none.comparison.right_value.scalar.CopyFrom(nothing.scalar)
    is_some = condition_pb2.BooleanExpression()
    is_some.CopyFrom(is_none)
    is_some.comparison.operator = _OPERATORS.Value("NEQ")

    assert _holds(is_none, a=optional) == (held is None)
    assert _holds(is_some, a=optional) == (held is not None)
    assert _holds(_compare("a", "EQ", number(3)), a=optional) == (held is not None)
    below = choose(_block(_compare("a", "LT", number(4))), literals(a=optional))
    assert (below == "arm0") == (held is not None)


def test_the_first_arm_that_holds_is_taken() -> None:
    """Cases are evaluated in their order."""
    block = _block(
        _compare("a", "GT", number(9)),
        _compare("a", "GT", number(3)),
        _compare("a", "GT", number(1)),
    )
    assert choose(block, literals(a=number(5))) == "arm1"


@pytest.mark.parametrize(
    ("operator", "a", "b", "expected"),
    [
        ("AND", 1, 1, True),
        ("AND", 1, 0, False),
        ("OR", 0, 1, True),
        ("OR", 0, 0, False),
    ],
)
def test_conditions_are_joined(operator: str, a: int, b: int, expected: bool) -> None:
    """AND needs both sides, OR one."""
    one = number(1)
    sides = _compare("a", "EQ", one), _compare("b", "EQ", one)
    joined = _join(sides[0], operator, sides[1])
    assert expected == _holds(joined, a=number(a), b=number(b))


def test_both_sides_are_always_asked() -> None:
    """An error is reported even in a side that wouldn't change the result."""
    joined = _join(
        _compare("a", "EQ", number(1)), "OR", _compare("gone", "EQ", number(1))
    )
    failure = choose(_block(joined), literals(a=number(1)))
    assert isinstance(failure, Failure)
    assert "'gone'" in failure.message


def test_operands_are_named_once_each() -> None:
    """The inputs that conditions compare are known before they are read."""
    block = _block(
        _join(_compare("a", "EQ", "b"), "AND", _compare("a", "GT", number(1))),
        _compare("c", "LT", "a"),
    )
    assert operand_names(block) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("condition", "inputs"),
    [
        (_compare("a", "EQ", number(1)), {}),
        (_compare("a", "EQ", number(1)), {"a": text("1")}),
        (_compare("a", "EQ", number(1)), {"a": primitive(float_value=1.0)}),
        (_compare("a", "EQ", number(1)), {"a": packed({})}),
        (_compare("a", "GT", primitive(boolean=True)), {"a": primitive(boolean=True)}),
        (_compare("a", "GT", primitive()), {"a": primitive()}),
    ],
)
def test_what_cannot_be_compared_is_the_users_failure(
    condition: Any, inputs: dict[str, Any]
) -> None:
    """Missing, mixed, structured and empty operands are malformed branches."""
    failure = choose(_block(condition, otherwise="else"), literals(**inputs))
    assert isinstance(failure, Failure)
    assert (failure.code, failure.kind) == ("MalformedBranchUserError", "USER")
    assert failure.message.startswith("Expected ")


def test_an_operator_of_a_newer_language_is_malformed() -> None:
    """An unknown operator is a failure, not a crash."""
    condition = _compare("a", "EQ", number(1))
    condition.comparison.operator = 99
    failure = choose(_block(condition), literals(a=number(1)))
    assert isinstance(failure, Failure)
    assert "99" in failure.message


def test_no_arm_and_no_else_is_a_failure() -> None:
    """Without an else, one condition must hold."""
    failure = choose(_block(_compare("a", "GT", number(1))), literals(a=number(0)))
    assert failure == Failure(
        code="MalformedBranchUserError", message="No branch satisfied", kind="USER"
    )


def test_the_users_own_error_is_reported_as_it_is() -> None:
    """`.fail("…")` fails with the user's message."""
    block = _block(_compare("a", "GT", number(1)))
    block.error.message = "too small"
    failure = choose(block, literals(a=number(0)))
    assert failure == Failure(
        code="UserProvidedError", message="too small", kind="USER"
    )
