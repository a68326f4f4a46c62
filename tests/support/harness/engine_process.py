"""Running engines for tests: `flightlog up` as a user starts it, in a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

READY_S = 180


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """One engine on a data folder; may be killed and started again."""

    def __init__(self, data_dir: Path, plugin: str = "process", **env: str) -> None:
        """Choose ports; `start` starts it."""
        self.data_dir = data_dir
        self.plugin = plugin
        self.grpc_port, self.http_port = free_port(), free_port()
        self.env = env
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data_dir.parent / f"{data_dir.name}.log"

    @property
    def endpoint(self) -> str:
        """Return the gRPC endpoint."""
        return f"localhost:{self.grpc_port}"

    @property
    def http(self) -> str:
        """Return the base of HTTP addresses."""
        return f"http://127.0.0.1:{self.http_port}"

    def postgres(self) -> str:
        """Return the URL of its Postgres."""
        address = json.loads((self.data_dir / "engine.json").read_text())
        return str(address["postgres"])

    def command(self, *words: str) -> list[str]:
        """Return a flightlog command of this Python."""
        return [sys.executable, "-m", "gateway.cli", *words]

    def flightlog(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command on its data."""
        return subprocess.run(
            self.command(*words, "--data-dir", str(self.data_dir)),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def start(self) -> float:
        """Start it and wait until it is ready; return the seconds that took."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(
                    "up", "--data-dir", str(self.data_dir), "--plugin", self.plugin,
                    "--grpc-port", str(self.grpc_port),
                    "--http-port", str(self.http_port),
                ),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.env},
            )  # fmt: skip
        while time.monotonic() - began < READY_S:
            if self.process.poll() is not None:
                raise AssertionError(f"the engine ended: {self.tail()}")
            try:
                with urllib.request.urlopen(f"{self.http}/healthz", timeout=2):
                    return time.monotonic() - began
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        raise AssertionError(f"the engine isn't ready: {self.tail()}")

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-4000:]

    def kill(self) -> None:
        """Kill it as a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> float:
        """Stop it as a supervisor would; return the seconds that took."""
        assert self.process is not None
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(15)
        return time.monotonic() - began
