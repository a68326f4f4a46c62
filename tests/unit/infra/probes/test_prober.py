"""The prober: right within two seconds, and not misled by a pause of the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.errors import Dependency
from infra.outages import Outages
from infra.probes.disk_probe import DiskProbe
from infra.probes.postgres_probe import PostgresProbe
from infra.probes.prober import Prober
from infra.setting_sections.processes import HealthSettings

KAFKA = Dependency.KAFKA
QUICK = HealthSettings(probe_interval_s=0.02, probe_timeout_s=0.1)


@dataclass(slots=True)
class Answering:
    """A probe whose answers a test determines."""

    error: Exception | None = None
    hangs: bool = False
    asked: int = 0
    is_closed: bool = False
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def check(self) -> None:
        """Hang, fail or answer."""
        self.asked += 1
        if self.hangs:
            await self.goes_on.wait()
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        """Note it."""
        self.is_closed = True


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not holds():
            await asyncio.sleep(0.005)


async def test_an_error_and_its_end_are_seen() -> None:
    """The reason is the error's text."""
    probe, outages = Answering(), Outages()
    async with Prober(probes={KAFKA: probe}, settings=QUICK, outages=outages).running():
        await _until(lambda: probe.asked > 1)
        assert outages.away == ()
        probe.error = ConnectionRefusedError("refused")
        await _until(lambda: outages.is_away(KAFKA))
        assert outages.away[0].why == "refused"
        probe.error = None
        await _until(lambda: not outages.is_away(KAFKA))
    assert probe.is_closed


async def test_no_answer_is_an_outage_until_it_comes() -> None:
    """The question that hangs isn't given up: its answer ends the outage at once."""
    probe, outages = Answering(hangs=True), Outages()
    async with Prober(probes={KAFKA: probe}, settings=QUICK, outages=outages).running():
        await _until(lambda: outages.is_away(KAFKA))
        assert outages.away[0].why == "no answer within 0.1 s"
        asked = probe.asked
        probe.goes_on.set()
        await _until(lambda: not outages.is_away(KAFKA))
        assert probe.asked <= asked + 1


async def test_a_pause_of_the_process_is_no_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After it the time limit has passed, but nothing was away."""
    outages, seen = Outages(), list[str | None]()
    monkeypatch.setattr(outages, "probed", lambda _what, why, _clock: seen.append(why))

    class Slow(Answering):
        async def check(self) -> None:
            await asyncio.sleep(0.01)

    async with Prober(
        probes={KAFKA: Slow()}, settings=QUICK, outages=outages
    ).running():
        for _ in range(5):
            await asyncio.sleep(0.025)
            time.sleep(0.3)  # noqa: ASYNC251 - the pause
    assert set(seen) == {None}


async def test_what_isnt_probed_any_more_isnt_away() -> None:
    """Nothing that a stopped prober found stays."""
    probe, outages = Answering(OSError("no")), Outages()
    async with Prober(probes={KAFKA: probe}, settings=QUICK, outages=outages).running():
        await _until(lambda: outages.is_away(KAFKA))
    assert outages.away == ()


async def test_the_disk_must_have_room_and_take_a_file(tmp_path: Path) -> None:
    """Folders are made; the file is removed again."""
    folder = tmp_path / "data"
    probe = DiskProbe([folder], free_bytes_min=4096)
    await probe.check()
    assert list(folder.iterdir()) == []
    await probe.close()
    full = DiskProbe([folder], free_bytes_min=2**62)
    with pytest.raises(OSError, match="MiB are free at"):
        await full.check()
    await full.close()
    (tmp_path / "file").write_text("")
    odd = DiskProbe([tmp_path / "file"], free_bytes_min=0)
    with pytest.raises(OSError, match="file"):
        await odd.check()
    await odd.close()


async def test_a_postgres_that_isnt_there_is_told(tmp_path: Path) -> None:
    """The driver's words are the reason."""
    probe = PostgresProbe(f"postgresql://x@/x?host={tmp_path}")
    with pytest.raises(Exception, match="connection"):
        await probe.check()
    await probe.close()
