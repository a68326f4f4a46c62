"""The simulation owns time: nothing in it may read a real clock, or wait for one."""

from __future__ import annotations

import asyncio
from typing import Never

import pytest

from infra.clock import SystemClock


@pytest.fixture(autouse=True)
def _only_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make real time an error: a run must not depend on the machine's speed."""

    def refuse(*_: object, **__: object) -> Never:
        raise AssertionError("Expected virtual time, but real time was asked for")

    for name in ("now_us", "monotonic", "sleep", "timeout"):
        monkeypatch.setattr(SystemClock, name, refuse)
    monkeypatch.setattr(asyncio.BaseEventLoop, "call_at", refuse)
