"""Progress over the events of a log: how many, how fast, how long still."""

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
    """A bar on standard error, gone at the end."""

    def __init__(self, what: str, total: int, *, quiet: bool) -> None:
        """Say what is done, and of how many events, about."""
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
        """Tell how many events are done."""
        rate = count / max(time.monotonic() - self._began, 0.001)
        self._bar.update(self._task, completed=count, rate=f"{rate:,.0f}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it away."""
        self._bar.stop()
