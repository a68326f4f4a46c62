"""Outages: what is away, by probes and by loops that retry; two lines for each."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from infra.errors import Dependency, TransientError
from infra.outages import FAILING_S, STALE_S, Attempts, Outages, brief
from infra.retry import retry_transient
from tests.support.clocks import VirtualClock

POSTGRES, KAFKA = Dependency.POSTGRES, Dependency.KAFKA
_S = 1_000_000


@pytest.fixture
def clock() -> VirtualClock:
    """Return a clock that only the test moves."""
    return VirtualClock()


@pytest.fixture
def outages() -> Outages:
    """Return a process that can reach everything."""
    return Outages()


def _failing(outages: Outages, clock: VirtualClock) -> Attempts:
    attempts = Attempts("it_is_delayed", clock=clock, outages=outages)
    attempts.failed(TransientError("Cannot reach it", POSTGRES))
    return attempts


def test_an_outage_is_two_lines(outages: Outages, clock: VirtualClock) -> None:
    """However long it lasts, and however many loops meet it."""
    with capture_logs() as logs:
        for _ in range(100):
            outages.probed(POSTGRES, "connection\nrefused", clock)
            _failing(outages, clock)
            clock.advance(_S)
        outages.probed(POSTGRES, None, clock)

    lines = [line for line in logs if line["log_level"] != "debug"]
    assert [line["event"] for line in lines] == ["went_away", "is_back"]
    assert lines[0]["what"] == "Postgres"
    assert lines[0]["why"] == "connection refused"
    assert lines[1]["after_s"] == 100.0
    assert outages.away == ()


def test_the_beginning_stays(outages: Outages, clock: VirtualClock) -> None:
    """The reason is the newest one, the time the first one."""
    since_us = clock.now_us()
    outages.probed(POSTGRES, "refused", clock)
    clock.advance(5 * _S)
    outages.probed(POSTGRES, "starting up", clock)
    (outage,) = outages.away
    assert (outage.since_us, outage.why) == (since_us, "starting up")
    assert outage.text() == "Waiting for Postgres: starting up"


def test_a_loop_counts_at_once_where_nothing_is_probed(
    outages: Outages, clock: VirtualClock
) -> None:
    """A command, or a start, says what it waits for."""
    attempts = _failing(outages, clock)
    assert outages.is_away(POSTGRES)
    attempts.worked()
    assert not outages.is_away(POSTGRES)


def test_a_blip_is_no_outage_while_probes_succeed(
    outages: Outages, clock: VirtualClock
) -> None:
    """A deadlock that is retried once doesn't make the engine unready."""
    outages.probed(POSTGRES, None, clock)
    attempts = _failing(outages, clock)
    clock.advance(2 * round(FAILING_S) * _S)
    outages.probed(POSTGRES, None, clock)
    assert not outages.is_away(POSTGRES)
    attempts.worked()


def test_a_loop_that_fails_for_long_is_believed(
    outages: Outages, clock: VirtualClock
) -> None:
    """What answers but doesn't work is away, too: until the loop works, or is busy."""
    outages.probed(POSTGRES, None, clock)
    attempts = _failing(outages, clock)
    clock.advance(round(FAILING_S) * _S)
    attempts.failed(TransientError("still not", POSTGRES))
    assert outages.is_away(POSTGRES)
    clock.advance(round(STALE_S) * _S)
    outages.probed(POSTGRES, None, clock)
    assert not outages.is_away(POSTGRES)
    attempts.failed(TransientError("still not", POSTGRES))
    assert outages.is_away(POSTGRES)
    attempts.worked()
    assert not outages.is_away(POSTGRES)


def test_loops_have_time_to_find_out_that_it_is_back(
    outages: Outages, clock: VirtualClock
) -> None:
    """They failed for as long as the outage; readiness doesn't wait for their retry."""
    outages.probed(POSTGRES, "refused", clock)
    attempts = _failing(outages, clock)
    clock.advance(60 * _S)
    attempts.failed(TransientError("refused", POSTGRES))
    outages.probed(POSTGRES, None, clock)
    assert not outages.is_away(POSTGRES)


def test_a_loop_may_wait_for_one_and_then_for_another(
    outages: Outages, clock: VirtualClock
) -> None:
    """It waits for one thing at a time."""
    attempts = _failing(outages, clock)
    attempts.failed(TransientError("no broker", KAFKA))
    assert [found.what for found in outages.away] == [KAFKA]
    attempts.worked()
    assert outages.away == ()


def test_other_failures_have_their_own_line_a_minute(
    outages: Outages, clock: VirtualClock
) -> None:
    """What is no outage of something known isn't repeated without end, either."""
    attempts = Attempts("it_is_delayed", clock=clock, outages=outages)
    with capture_logs() as logs:
        for _ in range(119):
            attempts.failed(ValueError("odd"))
            clock.advance(_S)
        attempts.worked()
        attempts.worked()

    events = [line["event"] for line in logs]
    assert events == ["it_is_delayed", "it_is_delayed", "no_longer"]


async def test_retries_of_an_outage_log_nothing_by_themselves() -> None:
    """Their outage does, in the process's own list."""
    answers = iter([TransientError("refused", POSTGRES), None])

    async def action() -> str:
        if (error := next(answers)) is not None:
            raise error
        return "done"

    with capture_logs() as logs:
        assert await retry_transient(action, "it_is_delayed", 0.0) == "done"
    lines = [line["event"] for line in logs if line["log_level"] != "debug"]
    assert lines == ["went_away", "is_back"]


def test_a_reason_is_one_short_line() -> None:
    """The end of a server's log isn't repeated in full."""
    assert brief("a\n  b\tc") == "a b c"
    assert len(brief("x" * 2000)) == 300
