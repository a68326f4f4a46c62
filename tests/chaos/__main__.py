"""Prints what a chaos run did and found: `python -m tests.chaos --executions 200`."""

from __future__ import annotations

import argparse
import statistics
import sys

from tests.chaos.run import Report, run


def main() -> int:
    """Run, print, and tell by the exit code whether anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the faults")
    parser.add_argument("--executions", type=int, default=200)
    parser.add_argument("--faults", type=int, default=30)
    options = parser.parse_args()
    report = run(
        seed=options.seed, executions=options.executions, faults=options.faults
    )
    sys.stdout.write(text(report))
    return 1 if report.wrong else 0


def text(report: Report) -> str:
    """Return a report as lines."""
    did = f"{report.executions} executions, {report.events:,} events checked"
    lines = [f"{did}, {sum(report.faults.values())} faults"]
    for what, count in sorted(report.faults.items()):
        times = report.progress_s[what]
        lines.append(
            f"  {what}: {count} ×, progress after {statistics.median(times):.1f} s, "
            f"at most {max(times):.1f} s"
        )
    lines += [f"WRONG {found}" for found in report.wrong] or ["nothing is wrong"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
