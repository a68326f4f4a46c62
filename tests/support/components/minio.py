"""A real S3 for tests: given by the environment, in a container, or started here."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.setting_sections.storage import S3Settings
from tests.support.components import containers
from tests.support.components.build_cache import cached
from tests.support.components.processes import kill
from tests.support.harness.engine_process import free_port

KEY, SECRET = "flightlog", "flightlog-secret"
READY_S = 30.0


class Minio:
    """One server on a folder; may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        """Choose a port; `start` starts it."""
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> S3Settings:
        """Return how to reach it."""
        return S3Settings(
            endpoint=f"http://127.0.0.1:{self.port}", access_key=KEY, secret_key=SECRET
        )

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(cached("minio-*/minio", "infra/deploy/components/minio.sh")),
                    "server", str(self.folder), "--quiet",
                    "--address", f"127.0.0.1:{self.port}",
                    "--console-address", f"127.0.0.1:{free_port()}",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={
                    **os.environ, "MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": SECRET
                },
            )  # fmt: skip
        until = time.monotonic() + READY_S
        while not self._is_ready():
            assert time.monotonic() < until, f"MinIO isn't ready after {READY_S} s"
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        url = f"{self.settings.endpoint}/minio/health/cluster"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def kill(self) -> None:
        """End it at once."""
        kill(self.process)
        self.process = None


@contextmanager
def s3(folder: Path) -> Iterator[S3Settings]:
    """Yield an S3: TESTS_S3 (http://key:secret@host:port) or one started."""
    given = os.environ.get("TESTS_S3")
    if given:
        yield given_settings(given)
        return
    if containers.available():
        yield containers.s3_settings()
        return
    server = Minio(folder)
    server.start()
    try:
        yield server.settings
    finally:
        server.kill()


def given_settings(url: str) -> S3Settings:
    """Return the settings in an URL."""
    scheme, _, rest = url.partition("://")
    credentials, _, host = rest.rpartition("@")
    key, _, secret = credentials.partition(":")
    return S3Settings(endpoint=f"{scheme}://{host}", access_key=key, secret_key=secret)
