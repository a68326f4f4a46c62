"""A progress bar over the events of a log: count, rate and remaining time."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


class EventsBar:
    """A progress bar on standard error, removed at the end."""

    def __init__(self, what: str, total: int, *, quiet: bool) -> None:
        """Describe the work, and about how many events it covers."""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]} events/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=quiet,
            transient=True,
        )
        self._task = self._bar.add_task(what, total=total, rate="…")
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        """Show it."""
        self._bar.start()
        self._began = time.monotonic()
        return self

    def reach(self, count: int) -> None:
        """Report how many events are done."""
        rate = count / max(time.monotonic() - self._began, 0.001)
        self._bar.update(self._task, completed=count, rate=f"{rate:,.0f}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove it."""
        self._bar.stop()
