"""Poison in a runner: what can't be read, done or reported costs its dispatch only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flyteidl.core import literals_pb2

from infra.eventlog.contract import Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import NO_VALUES, Failure, Values
from schemas.wire import codec
from tests.support.failing_logs import STORED_MAX, SmallLog
from tests.support.fakes import MemoryLog
from tests.support.flytekit import tasks as t
from tests.support.harness.runner_harness import (
    Harness,
    container,
    echo_task,
    record,
)
from workers.plugins.plugin import Failed, Succeeded, Work
from workers.runner.handlers import DispatchHandlers


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """A runner's harness on a log that stores small records."""
    harness = Harness(tmp_path)
    harness.log = SmallLog(harness.data, poll_s=0.05)
    return harness


def garbage(body: bytes = b"\x00garbage", **more: Any) -> Record:
    """Return a record of the dispatches topic that is none."""
    envelope = Envelope(id="garbage", type="?", stream="execution/p/d/x", **more)
    return Record(topic=topics.DISPATCHES, key="x", envelope=envelope, body=body)


async def goes_on(harness: Harness) -> None:
    """Check that the runner does other work, and has committed its position."""
    await harness.send(echo_task("last"))
    ended = c.ReportTaskSucceeded
    await harness.until(
        lambda: any(r.node_id == "last" for r in harness.reports(ended))
    )
    await harness.until(harness.has_committed_all)


@pytest.mark.parametrize("size", [10, STORED_MAX * 2])
async def test_bytes_that_are_no_dispatch_are_a_dead_letter(
    harness: Harness, size: int
) -> None:
    """Also if a copy of them is larger than what the log stores."""
    async with harness.runner(echoes=True):
        await MemoryLog.append(harness.log, [garbage(bytes(size))])
        await harness.until(lambda: harness.on(topics.DEAD_LETTERS))
        await goes_on(harness)
    (letter,) = [codec.decode(r.body) for r in harness.on(topics.DEAD_LETTERS)]
    assert letter.body == (bytes(size) if size < STORED_MAX else b"")


@pytest.mark.parametrize(
    "result",
    [
        Succeeded(outputs=Values(inline=bytes(STORED_MAX))),
        Failed(failure=Failure(code="x", message="x" * STORED_MAX), recoverable=True),
        Failed(failure=Failure(code="x", message="\ud800"), recoverable=True),
        Failed(
            failure=Failure(code="x", message="x", occurred_at_us=2**80),
            recoverable=True,
        ),
    ],
)
async def test_a_result_that_cannot_be_reported_is_a_small_failure(
    harness: Harness, result: Any
) -> None:
    """Too large for the log, or nothing that a message can hold."""
    async with harness.runner():
        await harness.send(container("n0"))
        harness.plugin.end("n0").set_result(result)
        await harness.until(lambda: harness.reports(c.ReportTaskFailed))
        (report,) = harness.reports(c.ReportTaskFailed)
        assert report.failure.code in {"ResultNotReported", "PluginFailure"}
        await harness.send(container("n1"))
        harness.plugin.end("n1").set_result(Succeeded(outputs=NO_VALUES))
        await harness.until(lambda: harness.reports(c.ReportTaskSucceeded))
        await harness.until(harness.has_committed_all)


async def test_operands_too_large_for_the_log_fail_the_resolution(
    harness: Harness,
) -> None:
    """A huge text in a condition costs its node, not each runner that gets it."""
    text = "x" * STORED_MAX * 2
    literal = literals_pb2.Literal(
        scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(string_value=text))
    )
    found = literals_pb2.LiteralMap(literals={"o0": literal})
    binding = literals_pb2.Binding(
        var="x",
        binding=literals_pb2.BindingData(promise={"node_id": "n0", "var": "o0"}),
    )
    blob = await harness.blobs.put(
        harness.blobs.uri("large"), found.SerializeToString()
    )
    dispatch = d.ResolveInputs(
        stream="execution/p/d/x",
        node_id="b",
        attempt=0,
        bindings=(binding.SerializeToString(),),
        sources=(d.SourceValues(node_id="n0", values=Values(uri=blob.uri)),),
        input_path="b/inputs.pb",
        operands=("x",),
    )
    async with harness.runner(echoes=True):
        await harness.send(dispatch)
        await harness.until(lambda: harness.reports(c.ReportResolutionFailed))
        await goes_on(harness)


async def test_an_echo_that_is_too_large_costs_its_attempt(harness: Harness) -> None:
    """What is answered at once is appended together; only the large one fails."""
    task = echo_task("large", inputs=Values(inline=t.integers(**{"x" * STORED_MAX: 1})))
    async with harness.runner(echoes=True):
        await harness.log.append([record(echo_task("small"))])
        await MemoryLog.append(harness.log, [record(task)])
        await goes_on(harness)


async def test_a_handler_that_raises_costs_its_dispatch(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a dispatch holds: its attempt fails, and the next one runs."""

    def broken(_self: Any, dispatch: d.RunTask, *_: Any) -> Any:
        if dispatch.node_id == "bad":
            raise RecursionError("too deep")
        return run(_self, dispatch, *_)

    run = DispatchHandlers._run_task
    monkeypatch.setattr(DispatchHandlers, "_run_task", broken)
    async with harness.runner(echoes=True):
        await harness.send(echo_task("bad"))
        await harness.until(lambda: harness.reports(c.ReportTaskFailed))
        await goes_on(harness)
    (report,) = harness.reports(c.ReportTaskFailed)
    assert "too deep" in report.failure.message


async def test_a_plugin_that_fails_to_release_does_not_change_a_result(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it held is logged; the attempt has succeeded."""

    async def broken(_work: Work) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(harness.plugin, "finalize", broken)
    async with harness.runner():
        await harness.send(container("n0"))
        harness.plugin.end("n0").set_result(Succeeded(outputs=NO_VALUES))
        await harness.until(lambda: harness.reports(c.ReportTaskSucceeded))
    assert not harness.reports(c.ReportTaskFailed)


async def test_a_report_that_cannot_be_decoded_is_no_history(
    harness: Harness,
) -> None:
    """A runner that joins reads older reports; one of them is damaged."""
    stream = "execution/p/d/x"
    damaged = Record(
        topic=topics.COMMANDS,
        key=stream,
        envelope=Envelope(
            id="damaged", type="flightlog.v2.ReportTaskStarted", stream=stream
        ),
        body=b"\x00garbage",
    )
    await harness.log.open()
    await harness.send(echo_task("first"))
    await harness.log.append([damaged])
    async with harness.runner(echoes=True):
        await harness.until(harness.has_committed_all)
