"""One run: a load, faults from a seed, and the checks afterwards."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.faults import Faults, StuckError
from tests.chaos.load import Load
from tests.chaos.setting import setting
from tests.history.checker import check
from tests.history.events import all_events
from tests.history.journal import Journal
from tests.support.harness.distributed import Distributed

CHECK_S = 1200.0
"""For each check of the log: that of 1,000 faults has hundreds of thousands of events.
"""


@dataclass(slots=True)
class Report:
    """What was done, what was found wrong, and how long it took to go on."""

    executions: int = 0
    events: int = 0
    took_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    progress_s: dict[str, list[float]] = field(default_factory=dict)


def run(
    *, seed: int, faults: int, first: int = 0, under_way: int = 6, minutes: float = 150,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:  # fmt: skip
    """Inject faults of these numbers under load; check everything from outside.

    `tell` is given a line after each. Executions are added until all faults are in.
    The first thing that is stuck, or the end of the time, ends the faults; what ran
    until then is checked all the same.
    """
    began = time.monotonic()
    report = Report()
    with setting() as found:
        journal = Journal(found.engine.folder / "journal")
        load = Load(found.engine, found.engine.folder, seed, under_way, journal)
        load.start()
        injector = Faults(found, seed)
        try:
            for number in range(first, first + faults):
                if time.monotonic() - began > minutes * 60:
                    late = f"Expected {faults} faults in {minutes:g} minutes, but there"
                    report.wrong.append(f"{late} were {number - first}")
                    break
                what = injector.inject(number)
                waited = f"progress after {injector.progress_s[what][-1]:.1f} s"
                tell(f"fault {number}: {what}, {waited}, {load.ended} ended")
        except StuckError as error:
            report.wrong.append(str(error))
        load.finish()
        report.executions = load.ended
        report.wrong += load.wrong
        try:
            _check_log(found.engine, report)
            events = all_events(found.engine.env, report.events, limit_s=CHECK_S)
            report.wrong += check(events, journal.entries())
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            report.wrong.append(str(error))
        report.faults = dict(injector.injected)
        report.progress_s = injector.progress_s
    report.took_s = time.monotonic() - began
    return report


def _check_log(engine: Distributed, report: Report) -> None:
    """Check the log, the read models against it, and against a rebuild."""
    for command in ("verify", "replay"):
        done = engine.flightlog(command, "--json", limit_s=CHECK_S)
        if done.returncode:
            report.wrong.append(f"{command}: {done.stdout}{done.stderr}")
        if command == "verify":
            report.events = verified(done.stdout)


def verified(printed: str) -> int:
    """Return how many events `flightlog verify --json` found; 0 if it failed."""
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    return int(json.loads(lines[-1])["events"]) if lines else 0
