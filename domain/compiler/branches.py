"""Branches: the ids of their arms, their outputs and conditions (ref §3.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flyteidl.core import condition_pb2, literals_pb2, types_pb2, workflow_pb2

from domain.compiler.errors import Code, Findings
from domain.compiler.interfaces import OutputTypes
from domain.literals.casting import castable
from domain.literals.literal_types import describe, is_none, scalar_type

_OPERANDS = frozenset({"primitive", "none_type"})


def rename_arms(node: workflow_pb2.Node) -> None:
    """Name each arm `<branch>-<arm>`, at every depth."""
    for arm in arms(node):
        arm.id = f"{node.id}-{arm.id}"
        rename_arms(arm)


def arms(node: workflow_pb2.Node) -> list[workflow_pb2.Node]:
    """Return the arms of a branch node; other nodes have none.

    Cases that lack a node are left out: reading the field would set it.
    """
    if node.WhichOneof("target") != "branch_node":
        return []
    block = node.branch_node.if_else
    cases = [case for case in (block.case, *block.other) if case.HasField("then_node")]
    found = [case.then_node for case in cases]
    return [*found, block.else_node] if block.HasField("else_node") else found


def with_arms(node: workflow_pb2.Node) -> Iterator[workflow_pb2.Node]:
    """Yield a node and the arms at every depth below it."""
    yield node
    for arm in arms(node):
        yield from with_arms(arm)


def common_outputs(
    node: workflow_pb2.Node, outputs: Sequence[OutputTypes | None], found: Findings
) -> OutputTypes | None:
    """Return the outputs that all arms have, None if those of one aren't known."""
    common: dict[str, types_pb2.LiteralType | None] | None = None
    for arm, offer in zip(arms(node), outputs, strict=True):
        if offer is None:
            return None
        if common is None:
            common = dict(offer)
            continue
        common = {name: kind for name, kind in common.items() if name in offer}
        for name, kind in common.items():
            _expect_same(arm.id, name, kind, offer[name], found)
    return common or {}


def _expect_same(
    arm_id: str,
    name: str,
    first: types_pb2.LiteralType | None,
    other: types_pb2.LiteralType | None,
    found: Findings,
) -> None:
    if first is None or other is None:
        return
    if castable(first, other) and castable(other, first):
        return
    text = (
        f"Expected output '{name}' to be a {describe(first)} as in the first arm, "
        f"but it is a {describe(other)}"
    )
    found.add(Code.MISMATCHING_TYPES, arm_id, text)


def check_branch(node: workflow_pb2.Node, inputs: OutputTypes, found: Findings) -> None:
    """Check the cases of a branch; `inputs` are the types of its bindings."""
    block = node.branch_node.if_else
    for case in (block.case, *block.other):
        if not case.HasField("condition"):
            text = "Expected every case to have a condition, but one has none"
            found.add(Code.BRANCH_NODE_HAS_NO_CONDITION, node.id, text)
        else:
            _check_condition(node.id, case.condition, inputs, found)
        if not case.HasField("then_node"):
            text = "Expected every case to have a node, but one has none"
            found.add(Code.BRANCH_NODE_ID_NOT_FOUND, node.id, text)
    if block.WhichOneof("default") is None:
        text = "Expected an else or an error, but there is neither"
        found.add(Code.BRANCH_NODE_HAS_NO_DEFAULT, node.id, text)


def _check_condition(
    node_id: str,
    condition: condition_pb2.BooleanExpression,
    inputs: OutputTypes,
    found: Findings,
) -> None:
    kind = condition.WhichOneof("expr")
    if kind == "conjunction":
        sides = condition.conjunction
        for side in (sides.left_expression, sides.right_expression):
            _check_condition(node_id, side, inputs, found)
        return
    if kind is None:
        text = "Expected a condition with an expression, but it has none"
        found.add(Code.VALUE_REQUIRED, node_id, text)
        return
    operands = (condition.comparison.left_value, condition.comparison.right_value)
    left, right = (_operand(node_id, operand, inputs, found) for operand in operands)
    if left is None or right is None or _comparable(left, right):
        return
    text = f"Expected to compare like with like, but got a {describe(left)} and a "
    found.add(Code.MISMATCHING_TYPES, node_id, text + describe(right))


def _operand(
    node_id: str, operand: condition_pb2.Operand, inputs: OutputTypes, found: Findings
) -> types_pb2.LiteralType | None:
    """Return an operand's type, None if it isn't known."""
    kind = operand.WhichOneof("val")
    if kind == "primitive":
        return scalar_type(literals_pb2.Scalar(primitive=operand.primitive))
    if kind == "scalar" and operand.scalar.WhichOneof("value") in _OPERANDS:
        return scalar_type(operand.scalar)
    if kind != "var" or not operand.var:
        text = "Expected an operand to be a variable or a primitive, but it is neither"
        found.add(Code.VALUE_REQUIRED, node_id, text)
        return None
    if operand.var not in inputs:
        text = f"Expected variable '{operand.var}' of a condition, but it is not bound"
        found.add(Code.VARIABLE_NAME_NOT_FOUND, node_id, text)
    return inputs.get(operand.var)


def _comparable(left: types_pb2.LiteralType, right: types_pb2.LiteralType) -> bool:
    """Return whether values of two types may be equal; of unions, any two variants."""
    lefts, rights = list(_variants(left)), list(_variants(right))
    return any(
        is_none(one)
        or is_none(other)
        or (castable(one, other) and castable(other, one))
        for one in lefts
        for other in rights
    )


def _variants(operand: types_pb2.LiteralType) -> Iterator[types_pb2.LiteralType]:
    if operand.WhichOneof("type") == "union_type":
        for variant in operand.union_type.variants:
            yield from _variants(variant)
        return
    yield _as_compared(operand)


def _as_compared(operand: types_pb2.LiteralType) -> types_pb2.LiteralType:
    """Return the type that the operand's literal will have: enums are strings."""
    kind = operand.WhichOneof("type")
    if kind == "enum_type":
        return types_pb2.LiteralType(simple=types_pb2.STRING)
    if kind == "simple" and operand.simple != types_pb2.STRUCT:
        return types_pb2.LiteralType(simple=operand.simple)
    return operand
