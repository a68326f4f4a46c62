"""One figure: what was measured, and what it must and should reach."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A number with its unit; `more` tells that more is better.

    `must` and `aim` are in the same unit; None where nothing was promised.
    """

    what: str
    value: float
    unit: str
    must: float | None = None
    aim: float | None = None
    more: bool = False
    comparison: str = ""

    @property
    def verdict(self) -> str:
        """Return which of its promises the number keeps."""
        if self._keeps(self.aim):
            return "aim"
        if self._keeps(self.must):
            return "must"
        return "" if self.must is None else "MISSED"

    def _keeps(self, limit: float | None) -> bool:
        if limit is None:
            return False
        return self.value >= limit if self.more else self.value <= limit

    def shown(self) -> str:
        """Return the number for people: three digits that count."""
        digits = 0 if abs(self.value) >= 100 else 2 if abs(self.value) >= 1 else 3
        return f"{self.value:,.{digits}f} {self.unit}"

    def line(self, case: str, machine: dict[str, str]) -> dict[str, Any]:
        """Return the figure as one object, with its case and its machine."""
        told = asdict(self) | {"value": round(self.value, 4)}
        return {"case": case, **told, "verdict": self.verdict, "machine": machine}
