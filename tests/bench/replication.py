"""What three replicas of each partition cost, beside one."""

from __future__ import annotations

from pathlib import Path

from tests.bench.chains import CHAIN, chains_on
from tests.bench.figure import Figure
from tests.bench.load import measured
from tests.support.harness.distributed import distributed, replicated

_ON = {"FLIGHTLOG_PLUGIN": "echo"}


def replication(folder: Path, quick: bool) -> list[Figure]:
    """Measure one process of each role on one broker, and on three."""
    del folder
    with distributed(**_ON) as engine:
        row, _ = chains_on(engine, quick)
        load = measured(engine, quick)
    with replicated(**_ON) as engine:
        row_of_3, _ = chains_on(engine, quick)
        load_of_3 = measured(engine, quick)
    where = "replication factor 3"
    figures = [
        Figure(f"{where}: {CHAIN} sequential echo tasks", row_of_3, "s"),
        Figure(f"{where}: the same ÷ that at 1", row_of_3 / row, ""),
    ]
    for at_3, at_1 in zip(load_of_3, load, strict=True):
        what, ratio = f"{where}: {at_3.what} ÷ that at 1", at_3.value / at_1.value
        figures.append(Figure(what, ratio, "", more=at_3.more))
    return figures
