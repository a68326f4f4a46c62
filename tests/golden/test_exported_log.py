"""Logs that released engines exported: imported, verified, replayed; nothing changed.

Beside each log lie the states of its executions and the rows of its read models, as
the engine that exported it told them. UPDATE_GOLDEN=1 writes them for a new log: what
is kept of a released one stays.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from infra.eventlog import avro_file
from infra.eventlog.contract import Record
from schemas.wire import codec
from tests.golden.summaries import (
    read_models,
    read_rows,
    summaries,
    write_rows,
    write_states,
)
from tests.support.components.postgres import empty_database

LOGS = sorted((Path(__file__).parent / "logs").glob("*.avro"))
UPDATES = os.environ.get("UPDATE_GOLDEN") == "1"
RUNNER = CliRunner()
of_each_log = pytest.mark.parametrize(
    "log", LOGS, ids=lambda log: log.stem, scope="module"
)


@cache
def records_of(log: Path) -> Sequence[Record]:
    """Return what was exported."""
    return [record for page, _ in avro_file.read_pages(log, 1000) for record in page]


def kept_states(log: Path) -> Any:
    """Return what is kept of a log's states; written first where nothing is."""
    path = log.with_suffix(".states.json")
    if UPDATES and not path.exists():
        write_states(path, records_of(log))
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def imported(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres with the imported log, and no read models of executions yet."""
    url = empty_database()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLIGHTLOG_POSTGRES", url)
        patch.setenv("FLIGHTLOG_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        assert run("log", "import", str(log))["records"]
        yield url


def run(*words: str) -> dict[str, Any]:
    """Run a command that must succeed; return what it says."""
    done = RUNNER.invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def test_logs_are_kept() -> None:
    """There is one at least, small enough to be kept."""
    assert LOGS
    assert all(log.stat().st_size < 500_000 for log in LOGS)


@of_each_log
def test_every_record_is_read(log: Path) -> None:
    """Each message is known, and is the same once it was written anew."""
    records = records_of(log)
    messages = [codec.decode(record.body) for record in records]

    assert Counter(r.envelope.type for r in records) == kept_states(log)["records"]
    assert [codec.decode(codec.encode(message)) for message in messages] == messages


@of_each_log
def test_events_fold_to_the_same_states(log: Path) -> None:
    """Phases, attempts, failures, timers, values of every execution and node."""
    kept = kept_states(log)["executions"]
    found = json.loads(json.dumps(summaries(records_of(log))))

    assert found.keys() == kept.keys()
    changed = {
        name: (kept[name], found[name]) for name in kept if kept[name] != found[name]
    }
    assert not changed, next(iter(changed.items()))


@of_each_log
@pytest.mark.integration
def test_a_log_is_imported_verified_and_replayed(log: Path, imported: str) -> None:
    """No event of it is refused, and the read models are folded from it anew."""
    run("replay", "--swap")
    verified, replayed = run("verify"), run("replay")

    assert verified["findings"] == []
    assert verified["streams"] == len(kept_states(log)["executions"])
    assert replayed["same"]


@of_each_log
@pytest.mark.integration
def test_read_models_have_the_same_rows(log: Path, imported: str) -> None:
    """Every column that there was has the values that it had."""
    run("replay", "--swap")
    path, found = log.with_suffix(".rows.jsonl.gz"), read_models(imported)
    if UPDATES and not path.exists():
        write_rows(path, found)

    for table, kept in read_rows(path).items():
        columns = kept[0].keys() if kept else ()
        rows = [{name: row[name] for name in columns} for row in found[table]]
        rows.sort(key=lambda row: json.dumps(row, sort_keys=True))
        assert len(rows) == len(kept), table
        differing = [
            pair for pair in zip(kept, rows, strict=True) if pair[0] != pair[1]
        ]
        assert not differing, (table, differing[0])
