"""Logs: lines that machines read, with what was bound, from libraries too."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError

from infra import logging_setup
from infra.errors import TransientError


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as it was found."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    config = structlog.get_config()
    yield
    structlog.configure(**config)
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_lines_carry_what_is_bound(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line on stderr: event, level, time, bound fields."""
    logging_setup.configure("info", as_json=True)
    structlog.contextvars.bind_contextvars(execution="p/d/n")
    log = structlog.get_logger("x").bind(node="n0")
    log.debug("quiet")
    log.info("ready", port=1)
    out, err = capsys.readouterr()
    assert not out
    (line,) = map(json.loads, err.splitlines())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "ready",
        "level": "info",
        "execution": "p/d/n",
        "node": "n0",
        "port": 1,
    }


def test_an_exception_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback doesn't break the line."""
    logging_setup.configure("info", as_json=True)
    try:
        raise ValueError("no")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert "ValueError: no" in line["exception"]


def test_libraries_speak_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    """A library's warning is logged like the engine's; lower levels aren't."""
    logging_setup.configure("debug", as_json=True)
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("beware of %s", "x")
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["event"], line["level"]) == ("beware of x", "warning")
    assert line["logger"] == "some.library"


def test_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Without JSON a line reads as text, without colours off a terminal."""
    logging_setup.configure("info", as_json=False)
    structlog.get_logger().warning("slow", wait_s=3)
    err = capsys.readouterr().err
    assert "slow" in err
    assert "wait_s=3" in err
    assert "\x1b" not in err


def test_the_same_complaint_is_heard_once_a_second(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that retries without pause is throttled; others are still logged."""
    logging_setup.configure("info", as_json=True)
    now = [100.0]
    monkeypatch.setattr(logging_setup.time, "monotonic", lambda: now[0])
    log = logging.getLogger("library")
    for number in range(50):
        log.error("Unable to connect to %s", number)
    log.error("Something else")
    now[0] += 1.1
    log.error("Unable to connect to %s", 7)
    lines = map(json.loads, capsys.readouterr().err.splitlines())
    assert [line["event"] for line in lines] == [
        "Unable to connect to 0",
        "Something else",
        "Unable to connect to 7 (repeated 49 times)",
    ]


def test_clients_say_nothing_about_what_they_cant_reach(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The engine does; defects pass."""
    logging_setup.configure("info", as_json=True)
    logging.getLogger("aiokafka.client").error("Unable connect to node")
    logging.getLogger("psycopg.pool").warning("error connecting")
    for error in (KafkaConnectionError("gone"), TransientError("gone"), KeyError("x")):
        logging.getLogger("asyncio").error(
            "Future exception was never retrieved", exc_info=error
        )
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert "KeyError: 'x'" in line["exception"]


def test_debug_shows_what_clients_say(capsys: pytest.CaptureFixture[str]) -> None:
    """For those who look for the cause of an outage."""
    logging_setup.configure("debug", as_json=True)
    logging.getLogger("aiokafka.client").error("Unable connect to node")
    assert "Unable connect" in capsys.readouterr().err
