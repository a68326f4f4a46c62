"""`flightlog passed-over` and `status`: what is passed over is shown, and redriven."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.unit.gateway.cli.test_main import REF
from tests.unit.gateway.cli.test_replay import RUNNER, app, engine, told

__all__ = ["engine"]
STREAM = f"execution/{REF.text()}"


@pytest.fixture
def passed(engine: tuple[list[str], str]) -> list[str]:
    """Return the options of an engine whose only execution is passed over."""
    options, url = engine
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("DELETE FROM node_executions")
        conn.execute(
            "INSERT INTO passed_over (stream, sequence, error) VALUES (%s, 3, 'large')",
            (STREAM,),
        )
    return options


def test_the_status_names_what_is_passed_over(passed: list[str]) -> None:
    """For people and for programs, as the list does."""
    code, found = told("status", *passed)
    assert code == 0
    (shown,) = found["passed_over"]
    assert (shown["stream"], shown["sequence"]) == (STREAM, 3)
    assert "event 3, since" in RUNNER.invoke(app, ["status", *passed]).stdout
    assert told("passed-over", "list", *passed) == (0, shown)
    listed = RUNNER.invoke(app, ["passed-over", "list", *passed]).stdout
    assert listed.startswith(f"{REF.text()}  event 3, since ")


@pytest.mark.parametrize("name", ["--all", REF.text()])
def test_a_redriven_execution_matches_the_log(passed: list[str], name: str) -> None:
    """Its rows are those of a replay again."""
    assert told("replay", *passed)[0] == 1
    assert told("passed-over", "redrive", name, *passed) == (
        0,
        {"redriven": [STREAM], "left": {}},
    )
    assert told("replay", *passed)[0] == 0
    assert told("status", *passed)[1]["passed_over"] == []
    assert told("passed-over", "redrive", "--all", *passed)[0] == 0


def test_what_is_not_passed_over_is_refused(passed: list[str]) -> None:
    """Neither another execution, nor nothing at all."""
    result = RUNNER.invoke(app, ["passed-over", "redrive", "p/d/none", *passed])
    assert result.exit_code == 1
    assert "Expected p/d/none to be passed over" in result.output
    assert RUNNER.invoke(app, ["passed-over", "redrive", *passed]).exit_code == 2


def test_a_swap_ends_it(passed: list[str]) -> None:
    """All that is passed over is applied by a replay."""
    assert told("replay", "--swap", *passed)[0] == 0
    result = RUNNER.invoke(app, ["passed-over", "list", *passed])
    assert result.stdout == "no executions are passed over\n"
    assert json.loads(RUNNER.invoke(app, ["status", "--json", *passed]).stdout)
