"""An embedded engine under load, watched from outside."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.endurance.health_watch import HealthWatch
from tests.endurance.steady_load import SteadyLoad
from tests.support.harness.engine_process import Running
from tests.support.harness.unmeasured import UNMEASURED

_FORBIDDEN = ("Traceback", "never retrieved", "was destroyed but it is pending")
_EXPECTED = ("partition_restored", "read_models_moved", "Flightlog", "stopp")
"""Lines that are no complaints."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The engine, its load, and what it says about its health."""

    running: Running
    load: SteadyLoad
    health: HealthWatch

    @property
    def pid(self) -> int:
        """Return the engine's process id."""
        assert self.running.process is not None
        return self.running.process.pid

    @property
    def data_dir(self) -> Path:
        """Return its data folder."""
        return self.running.data_dir

    def check(self, *, lines_max: int) -> None:
        """Check that all ended well, in the same process, with few lines in the log."""
        self.load.check()
        assert self.running.process is not None
        assert self.running.process.poll() is None, self.running.tail()
        log = self.running.log.read_text(errors="replace")
        assert not [text for text in _FORBIDDEN if text in log], self.running.tail()
        complaints = [
            line
            for line in log.splitlines()
            if ("[warning" in line or "[error" in line)
            and not any(text in line for text in _EXPECTED)
        ]
        assert len(complaints) <= lines_max, "\n".join(complaints)


@contextmanager
def watched(data_dir: Path | None = None, **env: str) -> Iterator[Watched]:
    """Run an engine under load within the block; by default in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="flightlog-endurance-") as found:
        folder = Path(found)
        folder.chmod(0o755)
        running = Running(data_dir or folder / "data", **env, **UNMEASURED)
        running.log = folder / "engine.log"
        running.start()
        load = SteadyLoad(running.endpoint, folder / "runs")
        try:
            with load, HealthWatch(running.http_port) as health:
                yield Watched(running, load, health)
        finally:
            running.stop()
