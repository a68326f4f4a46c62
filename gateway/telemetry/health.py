"""Readiness: which parts of the engine are ready, and what it has to wait for."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.outages import OUTAGES, Outages


@dataclass(slots=True)
class Health:
    """The parts that the engine needs to be ready, and those that are ready."""

    parts: tuple[str, ...] = ()
    serving: set[str] = field(default_factory=set)
    draining: bool = False
    outages: Outages = field(default_factory=lambda: OUTAGES)

    def serves(self, part: str) -> None:
        """Record that a part is ready."""
        self.serving.add(part)

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the parts that aren't ready yet."""
        return tuple(part for part in self.parts if part not in self.serving)

    @property
    def ready(self) -> bool:
        """Return whether requests are served, and nothing that they need is away."""
        return not (self.missing or self.draining or self.outages.away)

    @property
    def reason(self) -> str:
        """Return why it isn't ready; '' if it is."""
        reasons = [outage.text() for outage in self.outages.away]
        if self.missing:
            reasons.append(f"Starting: {', '.join(self.missing)}")
        if self.draining:
            reasons.append("Shutting down")
        return "; ".join(reasons)
