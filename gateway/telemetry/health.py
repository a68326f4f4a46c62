"""Readiness: which parts of the engine are ready."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Health:
    """The parts that the engine needs to be ready, and those that are ready."""

    parts: tuple[str, ...] = ()
    serving: set[str] = field(default_factory=set)
    draining: bool = False

    def serves(self, part: str) -> None:
        """Record that a part is ready."""
        self.serving.add(part)

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the parts that aren't ready yet."""
        return tuple(part for part in self.parts if part not in self.serving)

    @property
    def ready(self) -> bool:
        """Return whether requests are served."""
        return not self.missing and not self.draining
