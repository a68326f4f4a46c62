"""Prints the engine's figures, each beside what it must reach."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.against import ROUNDS, Comparison, compare
from tests.bench.chains import cache_hits, echo_chains, nested_dynamic, python_chain
from tests.bench.dead_runners import dead_runners
from tests.bench.figure import Figure
from tests.bench.load import throughput
from tests.bench.machine import describe
from tests.bench.maps import children, maps
from tests.bench.recovery import idle_memory, kill_to_progress
from tests.bench.replication import replication
from tests.bench.resizing import resizing
from tests.bench.restoring import restoring
from tests.bench.roles import on_kafka
from tests.bench.size import cost_by_size

CASES: dict[str, Callable[[Path, bool], list[Figure]]] = {
    "echo": echo_chains,
    "python": python_chain,
    "cache": cache_hits,
    "dynamic": nested_dynamic,
    "maps": maps,
    "children": children,
    "throughput": throughput,
    "kill": kill_to_progress,
    "dead runners": dead_runners,
    "restore": restoring,
    "resize": resizing,
    "size": cost_by_size,
    "memory": idle_memory,
    "roles": on_kafka,
    "replication": replication,
}
_STYLES = {"MISSED": "red", "must": "yellow", "aim": "green"}
_WIDTH = 130


def main() -> None:
    """Run the cases that are asked for, and print them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=CASES, action="append", help="this case")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, no pauses")
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="compare with another checkout: an engine of each runs, in turn",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of --against")
    options = parser.parse_args()
    machine = describe()
    width = None if sys.stdout.isatty() else _WIDTH
    console = Console(stderr=options.json, width=width, highlight=False)
    console.print(" · ".join(f"{name} {value}" for name, value in machine.items()))
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="flightlog-bench-") as folder:
        if options.against is not None:
            _compare(options, Path(folder), console)
            return
        for name in options.only or CASES:
            console.print(f"[dim]measuring {name} …[/]")
            for figure in CASES[name](Path(folder), options.quick):
                figures.append(figure)
                if options.json:
                    sys.stdout.write(json.dumps(figure.line(name, machine)) + "\n")
                    sys.stdout.flush()
    if not options.json:
        console.print(_table(figures))


def _compare(options: argparse.Namespace, folder: Path, console: Console) -> None:
    """Print each comparison with another tree as soon as it is made."""
    console.print(
        f"median seconds of {options.rounds} rounds: other, this, this ÷ other"
    )
    try:
        for found in compare(options.against.resolve(), folder, options.rounds):
            console.print(_line(found))
            if options.json:
                sys.stdout.write(json.dumps(asdict(found)) + "\n")
                sys.stdout.flush()
    except ValueError as error:
        raise SystemExit(str(error)) from None


def _line(found: Comparison) -> str:
    return (
        f"{found.what:<34} {found.other_s:8.3f} {found.this_s:8.3f} {found.ratio:6.3f}"
    )


def _table(figures: list[Figure]) -> Table:
    table = Table("what", "measured", "must", "aim", "keeps", "for comparison")
    for column in table.columns[1:4]:
        column.justify = "right"
    for figure in figures:
        verdict = figure.verdict
        style = _STYLES.get(verdict, "")
        table.add_row(
            figure.what,
            figure.shown(),
            "" if figure.must is None else f"{figure.must:,g}",
            "" if figure.aim is None else f"{figure.aim:,g}",
            f"[{style}]{verdict}[/]" if style else "",
            figure.comparison,
        )
    return table


if __name__ == "__main__":
    main()
