"""A clock that is set forward and back by an hour: no task is lost or run twice."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.postgres.embedded_server import PostgresServer
from tests.endurance.duration import chosen
from tests.endurance.engine import watched

pytestmark = pytest.mark.e2e
LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
EACH_S = chosen(4, 60)


@pytest.fixture
def postgres() -> Iterator[str]:
    """A Postgres whose clock stays right."""
    with tempfile.TemporaryDirectory(prefix="flightlog-clock-") as found:
        folder = Path(found)
        folder.chmod(0o755)
        server = PostgresServer(folder / "postgres")
        try:
            yield server.start()
        finally:
            server.stop()


@pytest.mark.skipif(LIBRARY is None, reason="needs Debian's package libfaketime")
def test_the_clock_jumps_by_an_hour(postgres: str, tmp_path: Path) -> None:
    """Forward, back again, and an hour behind: of the engine's processes only."""
    setting = tmp_path / "faketime"
    setting.write_text("+0\n")
    jumping = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(setting),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FLIGHTLOG_POSTGRES": postgres,
    }
    with watched(**jumping) as engine:
        time.sleep(3)
        began_s = time.monotonic()
        for offset in ("+3600\n", "+0\n", "-3600\n", "+0\n"):
            part = setting.with_suffix(".part")
            part.write_text(offset)
            part.replace(setting)
            time.sleep(EACH_S)
        engine.health.expect_ready(began_s - 2, time.monotonic())
        engine.check(lines_max=2)
