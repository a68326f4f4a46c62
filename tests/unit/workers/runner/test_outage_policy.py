"""Outages and attempts: these start later, or again, and cost the user no retry."""

from __future__ import annotations

import asyncio

import pytest

from infra.errors import Dependency
from infra.outages import Outages
from schemas.values import NO_VALUES, ErrorKind, Failure
from tests.support.clocks import VirtualClock
from workers.plugins.outputs import exit_failure
from workers.plugins.plugin import Failed, Result, Succeeded, permanent_failure
from workers.runner.outage_policy import OutagePolicy

_S = 1_000_000
_BOOM = Failure(code="USER:ValueError", message="boom", kind=ErrorKind.USER)
_FULL = Failure(
    code="USER:OSError",
    message="[Errno 28] No space left on device",
    kind=ErrorKind.USER,
)


@pytest.fixture
def outages() -> Outages:
    """Return a process that can reach everything."""
    return Outages()


async def test_nothing_starts_while_a_task_would_fail(outages: Outages) -> None:
    """It starts once the blob store is back."""
    clock = VirtualClock()
    policy = OutagePolicy(clock, outages)
    outages.probed(Dependency.BLOBS, "refused", clock)
    waiting = asyncio.create_task(policy.wait_to_start())
    for _ in range(10):
        await asyncio.sleep(0)
        clock.advance(_S)
    assert not waiting.done()
    outages.probed(Dependency.BLOBS, None, clock)
    await asyncio.sleep(0)
    clock.advance(_S)
    async with asyncio.timeout(1):
        await waiting


@pytest.mark.parametrize(
    ("result", "is_blamed"),
    [
        (exit_failure(1, "Traceback …"), True),
        (Failed(failure=_FULL, recoverable=False), True),
        (Failed(failure=_BOOM, recoverable=False), False),
        (permanent_failure("BadTaskDefinition", "no"), False),
        (Succeeded(outputs=NO_VALUES), False),
    ],
)
@pytest.mark.parametrize("is_over", [True, False])
def test_a_failure_without_a_word_is_the_outages(
    outages: Outages, result: Result, is_blamed: bool, is_over: bool
) -> None:
    """What a task says of itself stays its own, unless that is about the disk."""
    clock = VirtualClock()
    policy, began_s = OutagePolicy(clock, outages), clock.monotonic()
    assert policy.explain(result, began_s) is result
    clock.advance(_S)
    outages.probed(Dependency.DISK, "full", clock)
    if is_over:
        outages.probed(Dependency.DISK, None, clock)
    found = policy.explain(result, began_s)
    assert (found is not result) is is_blamed
    if isinstance(found, Failed) and is_blamed:
        assert (found.recoverable, found.failure.kind) == (True, ErrorKind.SYSTEM)
    clock.advance(_S)
    if is_over:
        assert policy.explain(result, clock.monotonic()) is result
