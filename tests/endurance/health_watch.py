"""Watches `/healthz`, and says whether it was right soon after each change."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

EACH_S = 0.1
SOON_S = 2.0
SILENCE_S = 2.0
"""Longest time without an answer while an engine runs, whatever it waits for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer: when it was asked for and there, its status (0: none), its reason."""

    at_s: float
    status: int
    reason: str
    there_s: float


@dataclass(slots=True)
class HealthWatch:
    """Asks an engine without pause, in a thread, within a `with` block."""

    port: int
    samples: list[Sample] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin."""
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def _watch(self) -> None:
        while not self._stop.wait(EACH_S):
            self.samples.append(ask(self.port))

    def expect_away(self, since_s: float, until_s: float, *words: str) -> None:
        """Check that it said so, with one of these words, soon and until the end."""
        found = self._answers(since_s + SOON_S, until_s)
        for sample in found:
            assert sample.status == 503, (sample.at_s - since_s, self._around(since_s))
            assert any(word in sample.reason for word in words), sample

    def expect_ready(self, since_s: float, until_s: float) -> None:
        """Check that it said so soon, and until the end."""
        found = self._answers(since_s + SOON_S, until_s)
        for sample in found:
            assert sample.status == 200, (sample.at_s - since_s, self._around(since_s))

    def _answers(self, since_s: float, until_s: float) -> list[Sample]:
        """Return the answers of a span, and check that it was never silent for long."""
        found = self._between(since_s, until_s)
        assert found, "nothing was answered meanwhile"
        there = sorted(s.there_s for s in self.samples if s.status)
        inside = [at_s for at_s in there if since_s < at_s < until_s]
        silence_s, at_s = max(
            (after_s - before_s, before_s)
            for before_s, after_s in pairwise((since_s, *inside, until_s))
        )
        assert silence_s <= SILENCE_S, (
            f"no answer for {silence_s:.2f} s, {at_s - since_s:.2f} s after the first",
            self._around(since_s),
        )
        return found

    def _between(self, since_s: float, until_s: float) -> list[Sample]:
        """Return the answers to what was asked in a span."""
        return [s for s in self.samples if s.status and since_s <= s.at_s < until_s]

    def _around(self, at_s: float) -> list[tuple[float, int, str]]:
        """Return what was answered around a time, each change once."""
        changes: list[tuple[float, int, str]] = []
        for sample in self._between(at_s - 1, at_s + 60):
            if not changes or changes[-1][1:] != (sample.status, sample.reason):
                seconds = round(sample.at_s - at_s, 2)
                changes.append((seconds, sample.status, sample.reason))
        return changes


def ask(port: int) -> Sample:
    """Ask once."""
    at_s = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SILENCE_S)
    try:
        connection.request("GET", "/healthz")
        reply = connection.getresponse()
        reason = str(json.loads(reply.read())["reason"])
        return Sample(at_s, reply.status, reason, time.monotonic())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Sample(at_s, 0, repr(error), time.monotonic())
    finally:
        connection.close()
