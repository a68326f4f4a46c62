"""Prints the engine's numbers, each beside what it must reach."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import cases
from tests.bench.machine import describe

CASES: dict[str, Callable[[Path, bool], list[cases.Figure]]] = {
    "echo": cases.echo_chains,
    "python": cases.python_chain,
    "throughput": cases.throughput,
    "kill": cases.kill_to_progress,
    "size": cases.cost_by_size,
    "memory": cases.idle_memory,
}


def main() -> None:
    """Run the cases that are asked for, and print them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=CASES, action="append", help="this case")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, no pauses")
    parser.add_argument("--json", action="store_true", help="one object a line")
    options = parser.parse_args()
    machine = describe()
    console = Console(stderr=options.json)
    console.print(" · ".join(f"{name} {value}" for name, value in machine.items()))
    figures: list[cases.Figure] = []
    with tempfile.TemporaryDirectory(prefix="flightlog-bench-") as folder:
        for name in options.only or CASES:
            console.print(f"[dim]measuring {name} …[/]")
            for figure in CASES[name](Path(folder), options.quick):
                figures.append(figure)
                if options.json:
                    line = {"case": name, **figure.__dict__, "machine": machine}
                    sys.stdout.write(json.dumps(line) + "\n")
                    sys.stdout.flush()
    if not options.json:
        console.print(_table(figures))


def _table(figures: list[cases.Figure]) -> Table:
    table = Table("what", "measured", "must", "aim", "for comparison")
    for figure in figures:
        table.add_row(
            figure.what,
            f"{figure.value:.3g} {figure.unit}",
            figure.must,
            figure.aim,
            figure.comparison,
        )
    return table


if __name__ == "__main__":
    main()
