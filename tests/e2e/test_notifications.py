"""Notifications of an embedded engine: a failing workflow, and somebody hears of it."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.bench.engines import client_of
from tests.support import raw
from tests.support.harness.engine_process import Running

pytestmark = pytest.mark.e2e


class Receiver(http.server.ThreadingHTTPServer):
    """An HTTP server that keeps what it is sent; `status` is what it answers."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def wait_for(self, count: int, limit_s: float = 60) -> list[Any]:
        """Return the bodies once there are so many."""
        until = time.monotonic() + limit_s
        while len(self.got) < count and time.monotonic() < until:
            time.sleep(0.05)
        return [json.loads(body) for _, _, body in self.got]


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Keep a request and answer it."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        assert isinstance(server, Receiver)
        server.got.append((self.path, dict(self.headers), body))
        self.send_response(server.status)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver in a thread."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(10)


def failing(client: Any, name: str) -> None:
    """Register a workflow of a task that fails."""
    request = raw.sleep_task("fails", 0)
    del request.spec.template.container.command[:]
    request.spec.template.container.command.extend(["false"])
    client._stub.CreateTask(request)
    client._stub.CreateWorkflow(raw.layers_workflow(name, "fails", 1, 1, passing=False))
    raw.register_plan(client, name)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver."""
    with receiving() as found:
        yield found


def test_a_newcomer_hears_of_a_failure(receiver: Receiver, tmp_path: Path) -> None:
    """One variable, no file: the message arrives within a minute of the start.

    A replay of the log, and another start, tell nobody again.
    """
    began = time.monotonic()
    running = Running(
        tmp_path / "engine", FLIGHTLOG_NOTIFY__SLACK__URL=f"{receiver.url}/slack"
    )
    running.start()
    try:
        client = client_of(running)
        failing(client, "broken")
        raw.create(client, "broken", "first")
        (message,) = receiver.wait_for(1)
        took_s = time.monotonic() - began
        listed = running.flightlog("notify", "list", "first", "--json")
        running.stop()
        replayed = running.flightlog("replay")
        running.start()
        time.sleep(1)
    finally:
        running.stop()

    assert "broken (flytesnacks/development) failed: first" in message["text"]
    assert (
        f"{running.http}/api/v1/executions/flytesnacks/development/first"
        in (message["text"])
    )
    assert took_s < 60
    row = json.loads(listed.stdout)
    assert (row["channel"], row["state"], row["tries"]) == ("slack", "sent", 1)
    assert replayed.returncode == 0, replayed.stderr
    assert len(receiver.got) == 1


def test_kills_lose_nothing_and_repeat_with_the_same_key(
    receiver: Receiver, tmp_path: Path
) -> None:
    """Engine and receiver die while executions end; each is told of."""
    running = Running(
        tmp_path / "engine",
        FLIGHTLOG_NOTIFY__WEBHOOK__URL=f"{receiver.url}/hook",
        FLIGHTLOG_NOTIFY__CLAIM_S="2",
    )
    running.start()
    names = {f"e{number}" for number in range(30)}
    try:
        client = client_of(running)
        failing(client, "broken")
        for number in range(30):
            raw.create(client, "broken", f"e{number}")
            if number in (10, 20):
                receiver.status = 500 if number == 10 else 200
                running.kill()
                running.start()
                client = client_of(running)
        until = time.monotonic() + 90
        told: dict[str, set[str]] = {}
        while set(told) != names and time.monotonic() < until:
            time.sleep(0.2)
            told = {}
            for _, headers, body in list(receiver.got):
                subject = json.loads(body)["subject"].rpartition("/")[2]
                told.setdefault(subject, set()).add(headers["webhook-id"])
    finally:
        running.stop()

    assert set(told) == names
    assert all(len(keys) == 1 for keys in told.values())


def test_what_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    """One line, and no engine."""
    running = Running(
        tmp_path / "engine", FLIGHTLOG_NOTIFY__SLACK__URL="http://example.com/secret"
    )
    with pytest.raises(AssertionError, match="channel 'slack': Expected url"):
        running.start()
    assert "secret" not in running.tail()


def test_check_and_test_of_channels(receiver: Receiver, tmp_path: Path) -> None:
    """As the settings have them; a test really sends."""
    env = {
        "FLIGHTLOG_DATA_DIR": str(tmp_path),
        "FLIGHTLOG_NOTIFY__SLACK__URL": f"{receiver.url}/slack",
        "PATH": "/usr/bin:/bin",
    }

    def flightlog(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway.cli", "notify", *words],
            capture_output=True, text=True, timeout=60, check=False, env=env,
        )  # fmt: skip

    checked = flightlog("check", "--json")
    tested = flightlog("test", "slack")
    receiver.status = 404
    refused = flightlog("test", "slack", "--json")

    assert json.loads(checked.stdout)["channels"] == {"slack": "slack"}
    assert tested.stdout == "sent: ok\n"
    assert "test of a channel of Flightlog" in receiver.wait_for(1)[0]["text"]
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["sent"] is False
    assert flightlog("test", "nobody").returncode == 2
