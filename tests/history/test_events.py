"""Reading the log back: a pause isn't its end, and what is missing is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.history import events

_PRINTS = """
import time
for number, pause_s in enumerate(({pauses})):
    time.sleep(pause_s)
    print('{{"sequence": %d}}' % number, flush=True)
time.sleep(60)
"""


def printing(folder: Path, *pauses_s: float) -> dict[str, str]:
    """Return the environment of a CLI that prints an event after each pause."""
    package = folder / "gateway" / "cli"
    package.mkdir(parents=True)
    for found in (package, package.parent):
        (found / "__init__.py").touch()
    pauses = "".join(f"{pause_s}, " for pause_s in pauses_s)
    (package / "__main__.py").write_text(_PRINTS.format(pauses=pauses))
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def test_a_pause_is_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as were counted are waited for, however slowly they come."""
    monkeypatch.setattr(events, "_QUIET_S", 0.1)

    found = events.all_events(printing(tmp_path, 0, 0.5), at_least=2)

    assert [event["sequence"] for event in found] == [0, 1]


def test_missing_events_are_told(tmp_path: Path) -> None:
    """A log that shows fewer than were counted is no shorter log."""
    with pytest.raises(TimeoutError, match="Expected 3 events within 2 s, but got"):
        events.all_events(printing(tmp_path, 0), at_least=3, limit_s=2)
