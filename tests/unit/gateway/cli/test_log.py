"""`flightlog log export|import` on real databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from tests.support.components.postgres import empty_database, migrated_database
from tests.unit.gateway.cli.test_main import REF, _fill

RUNNER = CliRunner()
Call = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """The command line on a database that is named by its first word."""

    def call(url: str, *words: str) -> Any:
        monkeypatch.setenv("FLIGHTLOG_POSTGRES", url)
        return RUNNER.invoke(app, [*words, "--data-dir", str(tmp_path / "data")])

    return call


@pytest.fixture
def url() -> str:
    """A database whose log has one execution."""
    found = migrated_database()
    asyncio.run(_fill(found, [REF]))
    return found


def test_a_log_goes_to_a_file_and_comes_back(
    url: str, run: Call, tmp_path: Path
) -> None:
    """The events are the same there, and the log stands every check."""
    file, other = str(tmp_path / "log.avro"), empty_database()
    done = run(url, "log", "export", file, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["records"] == {"flightlog.events": 6}
    done = run(other, "log", "import", file)
    assert done.exit_code == 0, done.output
    assert "imported 6 records" in done.stdout
    shown = [
        run(which, "events", "show", REF.text(), "--json").stdout
        for which in (url, other)
    ]
    assert shown[0] == shown[1]
    assert shown[0].count("\n") == 6


def test_only_an_empty_log_takes_an_import(url: str, run: Call, tmp_path: Path) -> None:
    """A log with events stays as it is, whatever the file holds."""
    file = str(tmp_path / "log.avro")
    assert run(url, "log", "export", file).exit_code == 0
    refused = run(url, "log", "import", file)
    assert refused.exit_code == 1
    assert "Expected an empty log, but flightlog.events has records" in refused.stderr


def test_files_are_checked_first(url: str, run: Call, tmp_path: Path) -> None:
    """No file is replaced by accident, and nothing of a broken one is imported."""
    file, other = tmp_path / "log.avro", empty_database()
    file.write_bytes(b"precious")
    refused = run(url, "log", "export", str(file))
    assert refused.exit_code == 2
    assert "--force replaces it" in refused.stderr
    assert file.read_bytes() == b"precious"
    refused = run(other, "log", "import", str(file))
    assert refused.exit_code == 1
    assert "Expected log.avro to be a complete export" in refused.stderr
    assert run(url, "log", "export", str(file), "--force").exit_code == 0
    file.write_bytes(file.read_bytes()[:-9])
    assert run(other, "log", "import", str(file)).exit_code == 1
    assert run(other, "log", "import", str(tmp_path / "none")).exit_code == 2
    run(url, "log", "export", str(file), "--force")
    assert run(other, "log", "import", str(file)).exit_code == 0
