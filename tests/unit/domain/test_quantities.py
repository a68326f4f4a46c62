"""Kubernetes quantities: parsed and scaled."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.quantities import parse, scale


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", "1"),
        ("500m", "0.5"),
        ("1.5Gi", str(3 * 2**29)),
        ("2k", "2000"),
        ("1e3", "1000"),
        ("1E", str(10**18)),
        (".5", "0.5"),
    ],
)
def test_a_quantity_is_read_as_kubernetes_does(text: str, amount: str) -> None:
    """Decimal and binary suffixes and exponents all count."""
    assert parse(text) == Decimal(amount)


@pytest.mark.parametrize(
    "text", ["", "m", "1 Gi", "1_0", "Infinity", "NaN", "٣", "1ki"]
)
def test_other_texts_are_no_quantities(text: str) -> None:
    """Words, spaces and non-ASCII digits are no quantities."""
    assert parse(text) is None


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_none(text: str) -> None:
    """Parsing a quantity never raises."""
    amount = parse(text)
    assert amount is None or amount >= 0


@pytest.mark.parametrize(
    ("quantity", "factor", "scaled"),
    [
        ("500Mi", 2, "1000Mi"),
        ("1Gi", 1.5, "1.5Gi"),
        ("1e3", 2, "1e3"),
        ("64", 3, "192"),
    ],
)
def test_a_quantity_is_scaled(quantity: str, factor: float, scaled: str) -> None:
    """The unit stays; a quantity with an exponent isn't scaled."""
    assert scale(quantity, factor) == scaled
