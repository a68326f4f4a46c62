"""Cache keys: equal inputs give equal keys, whatever way they came; others don't."""

from __future__ import annotations

from typing import Any

from flyteidl.core import literals_pb2
from hypothesis import given
from hypothesis import strategies as st

from domain.literals.cache_keys import catalog_key
from schemas.ids import CatalogKey, EntityRef
from tests.support.graphs import cached_template, integer

TASK = EntityRef(kind="TASK", project="p", domain="d", name="t", version="v")
Shape = Any
_SHAPES: st.SearchStrategy[Shape] = st.recursive(
    st.integers(0, 3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner)
    ),
    max_leaves=8,
)
_INPUTS = st.dictionaries(st.sampled_from("xyz"), _SHAPES)


def _literal(shape: Shape) -> Any:
    if isinstance(shape, int):
        return integer(shape)
    literal = literals_pb2.Literal()
    if isinstance(shape, list):
        literal.collection.SetInParent()
        literal.collection.literals.extend(map(_literal, shape))
    else:
        literal.map.SetInParent()
        for name, inner in shape.items():
            literal.map.literals[name].CopyFrom(_literal(inner))
    return literal


def _key(inputs: dict[str, Shape], *ignored: str) -> CatalogKey:
    literals = literals_pb2.LiteralMap(
        literals={name: _literal(shape) for name, shape in inputs.items()}
    )
    arrived = literals_pb2.LiteralMap.FromString(literals.SerializeToString())
    key = catalog_key(TASK, "1", cached_template().interface, arrived, ignored)
    assert isinstance(key, CatalogKey)
    return key


def _turned(shape: Shape) -> Shape:
    if isinstance(shape, dict):
        return {name: _turned(shape[name]) for name in reversed(shape)}
    return list(map(_turned, shape)) if isinstance(shape, list) else shape


@given(one=_INPUTS, two=_INPUTS)
def test_keys_are_equal_where_inputs_are(
    one: dict[str, Shape], two: dict[str, Shape]
) -> None:
    """Neither collides with the other, and no order of names counts."""
    assert (_key(one) == _key(two)) == (one == two)
    assert _key(one) == _key(_turned(one))


@given(inputs=_INPUTS, other=_SHAPES)
def test_ignored_inputs_never_count(inputs: dict[str, Shape], other: Shape) -> None:
    """Whatever they hold, the key is the same."""
    assert _key(inputs, "x") == _key({**inputs, "x": other}, "x")
