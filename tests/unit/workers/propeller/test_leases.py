"""Leases: who is lost, by ticks and incarnations, and what is remembered of runners."""

from __future__ import annotations

import pytest

from schemas.messages.commands import Heartbeat
from workers.propeller.kinds.rules import Lease
from workers.propeller.leases import Leases

MANY = 10_000


def beat(leases: Leases, runner: str = "r", incarnation: str = "i1") -> bool:
    """Let a heartbeat arrive."""
    message = Heartbeat(runner=runner, incarnation=incarnation, occurred_at_us=1)
    return leases.heartbeat(message, leases.ticks)


def hold(leases: Leases, runner: str = "r", incarnation: str = "i1") -> None:
    """Grant a lease of a stream with the runner's name."""
    leases.change(runner, Lease("n0", 0, 0, runner, incarnation), leases.ticks)


def end(leases: Leases, runner: str = "r") -> None:
    """End the lease."""
    leases.change(runner, Lease("n0", 0), leases.ticks)


def lost(leases: Leases, late_s: float = 0.0) -> list[str]:
    """Return the streams that lose their runner, at a tick's second or later."""
    return [stream for stream, _ in leases.expired(leases.ticks + late_s)]


def pass_ticks(leases: Leases, count: int) -> None:
    """Let ticks be read."""
    for _ in range(count):
        leases.tick()


def test_a_runner_is_lost_after_its_ticks_without_a_heartbeat() -> None:
    """As many as the time has seconds, and not before the time has passed."""
    leases = Leases(2.5)
    beat(leases)
    hold(leases)
    pass_ticks(leases, 2)
    assert not lost(leases, late_s=3600)
    leases.tick()
    assert not lost(leases, late_s=-0.6)

    assert lost(leases) == ["r"]
    beat(leases)
    assert not lost(leases)


@pytest.mark.parametrize("restores", [False, True])
def test_a_runner_that_was_never_heard_is_lost_too(restores: bool) -> None:
    """It is silent from when its lease was granted, or restored."""
    leases = Leases(2)
    pass_ticks(leases, 7)
    if restores:
        leases.restore("r", [Lease("n0", 0, 0, "r", "i1")], leases.ticks)
    else:
        hold(leases)
    leases.tick()
    assert not lost(leases)
    leases.tick()

    assert lost(leases) == ["r"]


def test_the_runner_of_this_process_is_lost_by_a_new_incarnation_only() -> None:
    """Other runners, as of a log that was imported, are lost by silence as well."""
    leases = Leases(1, own="r")
    hold(leases)
    assert not leases.needs_ticks
    hold(leases, "elsewhere")
    assert leases.needs_ticks
    pass_ticks(leases, 5)
    assert lost(leases) == ["elsewhere"]
    beat(leases, incarnation="i2")

    assert set(lost(leases)) == {"r", "elsewhere"}


def test_an_incarnation_loses_what_the_one_before_it_held() -> None:
    """Also what that had begun, and reports late."""
    leases = Leases(30)
    assert beat(leases)
    assert not beat(leases)
    hold(leases)
    assert beat(leases, incarnation="i2")
    assert lost(leases) == ["r"]
    hold(leases, incarnation="i2")
    assert not lost(leases)
    hold(leases)

    assert lost(leases) == ["r"]


def test_a_superseded_incarnation_is_not_heard() -> None:
    """A runner that was replaced while frozen takes nothing from its successor."""
    leases = Leases(1)
    for incarnation in ("i1", "i2"):
        beat(leases, incarnation=incarnation)
    hold(leases, incarnation="i2")
    assert not beat(leases)
    assert not lost(leases)
    for _ in range(2):
        leases.tick()
        assert not beat(leases)

    assert lost(leases) == ["r"]


def test_runners_without_leases_are_forgotten_and_others_never() -> None:
    """Names of runners are drawn at each start: what is known of them is bounded."""
    leases = Leases(30)
    beat(leases, "busy")
    hold(leases, "busy")
    for number in range(MANY):
        beat(leases, f"host-{number}")

    assert len(leases.runners) < MANY / 5
    assert f"host-{MANY - 1}" in leases.runners
    assert "busy" in leases.runners
    end(leases, "busy")
    assert not leases.needs_ticks
    for number in range(MANY):
        beat(leases, f"again-{number}")
    assert "busy" not in leases.runners
    assert not leases.held


def test_what_is_indexed_ends_with_the_leases() -> None:
    """Whatever is granted again, or released twice."""
    leases = Leases(30)
    for runner in ("a", "b"):
        leases.change("s", Lease("n0", 0, 0, runner, "i1"), 0.0)
    leases.change("s", Lease("n0", 0, 1, "b", "i2"), 0.0)
    assert set(leases.held.values()) == {Lease("n0", 0, 1, "b", "i2")}
    for _ in range(2):
        leases.change("s", Lease("n0", 0), 0.0)

    assert not leases.held
    assert not leases.needs_ticks
    assert not leases._attempts
