"""Kubernetes quantities, such as 500m or 1.5Gi, as numbers."""

from __future__ import annotations

import re
from decimal import Decimal

_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip
_QUANTITY = re.compile(
    r"\+?(\d{1,30}\.?\d{0,30}|\.\d{1,30})([eE][+-]?\d{1,2}|[KMGTPE]i|[numkMGTPE])?",
    re.ASCII,
)
_SCALABLE = re.compile(r"(\d+(?:\.\d+)?)([a-zA-Z]*)")


def parse(text: str) -> Decimal | None:
    """Return the number of a quantity, None for other texts."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, suffix = match.group(1), match.group(2) or ""
    if suffix in _SUFFIXES:
        return Decimal(number) * _SUFFIXES[suffix]
    return Decimal(number + suffix)


def scale(quantity: str, factor: float) -> str:
    """Return a quantity times a factor, in the same unit.

    One with an exponent, and any other text, is returned as it is.
    """
    match = _SCALABLE.fullmatch(quantity.strip())
    if match is None or factor == 1.0:
        return quantity
    scaled = Decimal(match[1]) * Decimal(str(factor))
    return f"{scaled.quantize(Decimal('0.001')).normalize():f}{match[2]}"
