"""Prints what a chaos run did and found: `python -m tests.chaos --faults 1000`."""

from __future__ import annotations

import argparse
import statistics
import sys

from tests.chaos.clock import library
from tests.chaos.run import Report, run


def main() -> int:
    """Run, print, and tell by the exit code whether anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the faults")
    parser.add_argument("--first", type=int, default=0, help="go on from this fault")
    parser.add_argument("--faults", type=int, default=30, help="how many")
    parser.add_argument("--under-way", type=int, default=6, help="executions at once")
    parser.add_argument("--minutes", type=float, default=150, help="for all faults")
    options = parser.parse_args()
    if library() is None:
        sys.stdout.write("no clock jumps: install libfaketime (Debian: faketime)\n")
    report = run(
        seed=options.seed, first=options.first, faults=options.faults,
        under_way=options.under_way, minutes=options.minutes, tell=_tell,
    )  # fmt: skip
    sys.stdout.write(text(report))
    return 1 if report.wrong else 0


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def text(report: Report) -> str:
    """Return a report as lines."""
    did = f"{report.executions} executions, {report.events:,} events checked"
    total = sum(report.faults.values())
    lines = [f"{did}, {total} faults, {report.took_s / 60:.1f} minutes"]
    for what, count in sorted(report.faults.items()):
        lines.append(f"  {what}: {count} ×, {_progress(report.progress_s.get(what))}")
    lines += [f"WRONG {found}" for found in report.wrong] or ["nothing is wrong"]
    return "\n".join(lines) + "\n"


def _progress(times: list[float] | None) -> str:
    if not times:
        return "no progress"
    median = statistics.median(times)
    return f"progress after {median:.1f} s, at most {max(times):.1f} s"


if __name__ == "__main__":
    sys.exit(main())
