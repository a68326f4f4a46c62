"""`flightlog replay` and `verify` on real logs and views: found, and mended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from typer.testing import CliRunner

from gateway.bootstrap.data_dir import DataDir, EngineAddress
from gateway.cli.main import app
from tests.support.components.postgres import migrated_database
from tests.unit.gateway.cli.test_main import REF, _fill

RUNNER = CliRunner()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[tuple[list[str], str]]:
    """Return the options of a data folder with one execution, and its Postgres."""
    url = migrated_database()
    asyncio.run(_fill(url, [REF]))
    data = DataDir(tmp_path)
    with data.hold():
        data.announce(
            EngineAddress(
                pid=1, host="127.0.0.1", grpc_port=1, http_port=1, postgres=url,
                version="0", started_at_us=1,
            )
        )  # fmt: skip
        yield ["--data-dir", str(tmp_path)], url


def told(*words: str) -> tuple[int, dict]:
    """Run a command with --json; return its exit code and what it says."""
    result = RUNNER.invoke(app, [*words, "--json"])
    assert result.stdout, result.output
    return result.exit_code, json.loads(result.stdout)


def test_read_models_that_match_the_log_are_reported_so(
    engine: tuple[list[str], str],
) -> None:
    """A rebuild of views that nobody touched is the same, row by row."""
    options, _ = engine
    code, found = told("replay", *options)
    assert (code, found["same"], found["events"]) == (0, True, 6)


def test_damage_is_found_and_mended(engine: tuple[list[str], str]) -> None:
    """Changed, lost and invented rows are found; a swap puts the log's truth back."""
    options, url = engine
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("UPDATE executions SET phase = 'FAILED'")
        conn.execute("DELETE FROM journal WHERE sequence = 2")
        conn.execute("INSERT INTO execution_tags VALUES ('x', 'y', 'z')")
    code, found = told("replay", *options)
    assert (code, found["same"], found["swapped"]) == (1, False, False)
    read_models = {view["table"]: view for view in found["read_models"]}
    counts = {t: (v["only_live"], v["only_rebuilt"]) for t, v in read_models.items()}
    assert counts["executions"] == (1, 1)
    assert counts["journal"] == (0, 1)
    assert counts["execution_tags"] == (1, 0)
    assert counts["node_executions"] == (0, 0)
    assert "FAILED" in read_models["executions"]["samples"][0]
    code, found = told("replay", "--swap", *options)
    assert (code, found["swapped"]) == (0, True)
    code, found = told("replay", *options)
    assert (code, found["same"]) == (0, True)
    with psycopg.connect(url) as conn:
        schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'flightlog_shadow'"
        assert conn.execute(schemas).fetchone() == (0,)


def test_an_illegal_log_and_a_wrong_read_model_are_found(
    engine: tuple[list[str], str],
) -> None:
    """The command's own exit code tells, and each finding says where."""
    options, url = engine
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("UPDATE executions SET phase = 'ABORTED'")
    code, found = told("verify", *options)
    said = [finding["what"] for finding in found["findings"]]
    assert (code, found["events"], found["streams"]) == (1, 6, 1)
    assert (
        "Expected no transition of the execution RUNNING → SUCCEEDED, but there is one"
        in said
    )
    assert "Expected the read model to be SUCCEEDED, but it is ABORTED" in said
    result = RUNNER.invoke(app, ["verify", *options])
    assert result.exit_code == 1
    assert "the log is inconsistent" in result.stdout


def test_a_part_of_the_log_is_replayed(engine: tuple[list[str], str]) -> None:
    """From a position or a time on: what was created before stays as it is."""
    options, url = engine
    later = msgspec.structs.replace(REF, name="later")
    with psycopg.connect(url) as conn:
        row = conn.execute("SELECT max(notification_id) FROM flightlog_log").fetchone()
        assert row is not None
    asyncio.run(_fill(url, [later]))
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("UPDATE executions SET phase = 'FAILED'")
    code, found = told("replay", "--from", str(row[0]), *options)
    read_models = {view["table"]: view["only_live"] for view in found["read_models"]}
    assert (code, found["events"], read_models["executions"]) == (1, 6, 1)
    assert "catalog" not in read_models
    code, _ = told("replay", "--swap", "--from", str(row[0]), *options)
    assert code == 0
    with psycopg.connect(url) as conn:
        phases = dict(
            conn.execute("SELECT execution_name, phase FROM executions").fetchall()
        )
    assert phases == {"later": "SUCCEEDED", REF.name: "FAILED"}
    for time, events in (("2000-01-01", 12), ("2099-01-01T00:00", 0)):
        _, found = told("replay", "--from", time, *options)
        assert found["events"] == events


def test_a_part_of_the_log_is_verified(engine: tuple[list[str], str]) -> None:
    """What began before is left out, in the log and in the read models."""
    options, url = engine
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("UPDATE executions SET phase = 'ABORTED'")
    code, found = told("verify", "--from", "2099-01-01", *options)
    assert (code, found["events"], found["findings"]) == (0, 0, [])
    code, found = told("verify", "--from", "2000-01-01+02:00", *options)
    assert (code, found["events"]) == (1, 6)
    refused = RUNNER.invoke(app, ["verify", "--from", "yesterday", *options])
    assert refused.exit_code == 2
    assert "Expected a time like 2030-12-31T23:59 or a position" in refused.stderr
