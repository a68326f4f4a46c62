"""The version before and today's side by side: nothing is lost, doubled or stuck."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.endurance.versions import upgrade
from tests.support.harness.distributed import GATEWAY, PROJECTOR, PROPELLER, RUNNER
from tests.support.harness.version_before import VARIABLE, version_before

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
ORDER = (RUNNER, PROPELLER, PROJECTOR, GATEWAY)
ROLES = (GATEWAY, PROPELLER, PROPELLER, PROJECTOR, RUNNER)
"""Fewer than `make endurance` replaces: each start takes seconds."""


def test_an_engine_is_replaced_process_by_process() -> None:
    """Under load, with a step back; `make endurance` does it in every other order."""
    with tempfile.TemporaryDirectory(
        prefix="flightlog-versions-", ignore_cleanup_errors=True
    ) as name:
        before = version_before(Path(name))
        if before is None:
            pytest.skip(f"no version before: no history, and {VARIABLE} names no wheel")

        found = upgrade(Path(name) / "engine", before, ORDER, seed=1, roles=ROLES)

    assert found.wrong == []
