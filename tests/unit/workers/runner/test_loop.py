"""The runner on a log in memory: what it reports and when, and what it ignores."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest
from flyteidl.core import types_pb2
from msgspec.structs import replace

from infra.eventlog.contract import Record
from schemas import topics
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import NO_VALUES, Values
from schemas.wire import codec
from tests.support.flytekit import tasks as t
from tests.support.harness.runner_harness import (
    Harness,
    abort,
    container,
    echo_task,
    record,
)
from workers.plugins.plugin import Succeeded


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """Return a harness whose log is empty."""
    return Harness(tmp_path)


async def test_a_fast_task_is_reported_once(harness: Harness) -> None:
    """Work that ends before the delay sends its end alone."""
    harness.plugin.end("n0").set_result(Succeeded(outputs=NO_VALUES))
    async with harness.runner():
        await harness.send(container())
        await harness.until(harness.reports)
    assert [type(r) for r in harness.reports()] == [c.ReportTaskSucceeded]
    assert harness.plugin.calls == [("start", "n0"), ("finalize", "n0")]


async def test_a_slow_task_takes_its_lease_first(harness: Harness) -> None:
    """Work that goes on is reported as started; then its offset may be committed."""
    async with harness.runner("i7"):
        await harness.send(container())
        await harness.until(harness.reports)
        await harness.until(harness.has_committed_all)
        harness.plugin.end("n0").set_result(Succeeded(outputs=NO_VALUES))
        await harness.until(lambda: len(harness.reports()) == 2)
    started, ended = harness.reports()
    assert isinstance(started, c.ReportTaskStarted)
    assert (started.runner, started.incarnation) == ("r", "i7")
    assert isinstance(ended, c.ReportTaskSucceeded)
    assert ended.started_at_us == started.started_at_us


async def test_an_abort_stops_what_runs(harness: Harness) -> None:
    """Aborted work is stopped and finalized, and nothing more is reported."""
    task = container()
    async with harness.runner():
        await harness.send(task)
        await harness.until(harness.reports)
        await harness.send(abort(task))
        await harness.until(lambda: ("finalize", "n0") in harness.plugin.calls)
    assert [type(r) for r in harness.reports()] == [c.ReportTaskStarted]
    assert ("abort", "n0") in harness.plugin.calls


async def test_an_abort_needs_no_slot(harness: Harness) -> None:
    """Work that waits for a slot is dropped at once, and its offset committed."""
    harness.plugin.slots = asyncio.Semaphore(0)
    task = container()
    async with harness.runner():
        await harness.send(task)
        await asyncio.sleep(0.02)
        await harness.send(abort(task))
        await harness.until(harness.has_committed_all)
    assert harness.reports() == []


async def test_an_aborted_dispatch_is_not_begun(harness: Harness) -> None:
    """After a restart aborts are known before anything is started."""
    task = container()
    await harness.log.open()
    await harness.send(task, abort(task))
    async with harness.runner():
        await harness.until(harness.has_committed_all)
    assert harness.plugin.calls == []


async def test_a_newer_dispatch_replaces_an_older(harness: Harness) -> None:
    """Dispatched again, an attempt runs once: the newest dispatch counts."""
    async with harness.runner():
        await harness.send(container(dispatch_no=0))
        await harness.until(harness.reports)
        await harness.send(container(dispatch_no=1))
        await harness.until(lambda: len(harness.reports()) == 2)
        await harness.send(container(dispatch_no=0))
        harness.plugin.end("n0").set_result(Succeeded(outputs=NO_VALUES))
        await harness.until(lambda: len(harness.reports()) == 3)
        await harness.until(lambda: len(harness.plugin.calls) == 5)
    assert [r.dispatch_no for r in harness.reports()] == [0, 1, 1]
    assert harness.plugin.calls.count(("start", "n0")) == 2


async def test_what_was_reported_is_not_run_again(harness: Harness) -> None:
    """Read again after a crash, work that was begun or has ended is not repeated."""
    harness.plugin.end("n1").set_result(Succeeded(outputs=NO_VALUES))
    async with harness.runner("i1"):
        await harness.send(container("n0"), container("n1"))
        await harness.until(lambda: len(harness.reports()) == 2)
    harness.data.positions.clear()  # as if the position had not been committed
    harness.plugin.calls.clear()
    async with harness.runner("i2"):
        await harness.send(container("n2"))
        await harness.until(lambda: ("start", "n2") in harness.plugin.calls)
    assert [node for _, node in harness.plugin.calls if node != "n2"] == []


async def test_waiting_work_comes_again(harness: Harness) -> None:
    """Work that was not reported on is done by the next incarnation."""
    harness.plugin.slots = asyncio.Semaphore(0)
    async with harness.runner("i1"):
        await harness.send(container())
        await harness.until(harness.plugin.slots.locked)
        await asyncio.sleep(0.05)
    harness.plugin.slots = asyncio.Semaphore(1)
    harness.plugin.end("n0").set_result(Succeeded(outputs=NO_VALUES))
    async with harness.runner("i2"):
        await harness.until(harness.reports)
    assert [r.incarnation for r in harness.reports()] == ["i2"]


async def test_an_error_of_the_plugin_is_a_system_failure(
    harness: Harness,
) -> None:
    """An exception of a plugin becomes a failure that may be retried."""
    harness.plugin.error = RuntimeError("disk on fire")
    async with harness.runner():
        await harness.send(container())
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportTaskFailed)
    assert report.recoverable
    assert report.failure.kind == "SYSTEM"
    assert "disk on fire" in report.failure.message


async def test_echo_tasks_share_appends(harness: Harness) -> None:
    """A batch of echo dispatches is answered by one append."""
    await harness.log.open()
    await harness.send(*(echo_task(f"n{i}") for i in range(50)))
    appends: list[int] = []
    append = harness.log.append

    def counted(records: list[Record]) -> Awaitable[None]:
        appends.append(len(records))
        return append(records)

    harness.log.append = counted  # type: ignore[method-assign]
    async with harness.runner():
        await harness.until(lambda: len(harness.reports()) == 50)
    assert appends == [1, 50]
    assert {t.number(r.outputs.inline, "b") for r in harness.reports()} == {21}


async def test_large_echoes_go_by_reference(harness: Harness) -> None:
    """Outputs beyond the inline limit are in the blob store."""
    data = t.integers(**{f"x{i}": i for i in range(30)}, a=5)
    blob = await harness.blobs.put(harness.blobs.uri("in.pb"), data)
    outputs = {f"o{i}": types_pb2.INTEGER for i in range(30)}
    template = t.container_task([], {"a": 1}, outputs, kind="echo")
    async with harness.runner():
        await harness.send(t.dispatch(template, inputs=Values(uri=blob.uri)))
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportTaskSucceeded)
    assert report.outputs.inline is None
    assert report.outputs.size == len(await harness.blobs.get(report.outputs.uri))


async def test_without_a_plugin_containers_echo(harness: Harness) -> None:
    """Under --plugin echo container tasks succeed without a process."""
    async with harness.runner(echoes=True):
        await harness.send(container())
        await harness.until(harness.reports)
    assert isinstance(harness.reports()[0], c.ReportTaskSucceeded)
    assert harness.plugin.calls == []


async def test_an_unknown_task_type_fails(harness: Harness) -> None:
    """An unsupported task type is a permanent failure that names it."""
    spark = t.container_task(["x"], kind="spark")
    spark.ClearField("container")
    async with harness.runner():
        await harness.send(t.dispatch(spark))
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportTaskFailed)
    assert not report.recoverable
    assert "spark" in report.failure.message


async def test_a_damaged_template_fails_its_task(harness: Harness) -> None:
    """The runner goes on: bytes that can't be decoded are a permanent failure."""
    damaged = replace(container(), template=b"\xff\xff")
    async with harness.runner():
        await harness.send(damaged)
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportTaskFailed)
    assert report.failure.code == "BadTaskDefinition"
    assert not report.recoverable


async def test_undecodable_dispatches_become_dead_letters(
    harness: Harness,
) -> None:
    """Bytes of no known schema become a dead letter; the next dispatch runs."""
    harness.plugin.end("n0").set_result(Succeeded(outputs=NO_VALUES))
    broken = record(container("bad"))
    broken = Record(
        topic=broken.topic, key=broken.key, envelope=broken.envelope, body=b"\xc3what"
    )
    async with harness.runner():
        await harness.log.append([broken])
        await harness.send(container())
        await harness.until(harness.reports)
    assert len(harness.on(topics.DEAD_LETTERS)) == 1


async def test_it_sends_heartbeats_from_the_start(harness: Harness) -> None:
    """The first heartbeat comes at once, others follow."""
    async with harness.runner(heartbeat_interval_s=0.02):
        await harness.until(lambda: len(harness.on(topics.COMMANDS)) >= 3)
    first = codec.decode(harness.on(topics.COMMANDS)[0].body)
    assert isinstance(first, c.Heartbeat)
    assert (first.runner, first.incarnation) == ("r", "i1")


async def test_dispatches_in_flight_are_bounded(harness: Harness) -> None:
    """With as many dispatches open as allowed, the rest stays on the log."""
    harness.plugin.slots = asyncio.Semaphore(0)
    async with harness.runner(in_flight_max=3) as runner:
        await harness.send(*(container(f"n{i}") for i in range(9)))
        await asyncio.sleep(0.1)
        assert runner.in_flight == 3


async def test_the_bytes_of_dispatches_in_flight_are_bounded(harness: Harness) -> None:
    """Few large ones are as many as are allowed; the others follow."""
    harness.plugin.slots = asyncio.Semaphore(0)
    async with harness.runner(in_flight_bytes_max=1, dispatches_max=2) as runner:
        await harness.send(*(container(f"n{i}") for i in range(9)))
        await asyncio.sleep(0.1)
        assert runner.in_flight == 2


async def test_inputs_are_resolved(harness: Harness) -> None:
    """Sources are read, bindings resolved, large results written beside the node."""
    many = {f"x{i}": i for i in range(40)}
    blob = await harness.blobs.put(harness.blobs.uri("up.pb"), t.integers(**many))
    bindings = []
    for name in many:
        binding = t.literals_pb2.Binding(var=name)
        binding.binding.promise.node_id = "n0"
        binding.binding.promise.var = name
        bindings.append(binding.SerializeToString())
    source = d.SourceValues(node_id="n0", values=Values(uri=blob.uri))
    async with harness.runner():
        await harness.send(
            d.ResolveInputs(
                stream=container().stream, node_id="n1", attempt=0,
                bindings=tuple(bindings), sources=(source,),
                input_path="in/n1/inputs.pb", operands=("x3",),
            )
        )  # fmt: skip
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportInputsResolved)
    assert report.inputs.uri == harness.blobs.uri("in/n1/inputs.pb")
    assert report.inputs.inline is None
    assert t.number(report.operands, "x3") == 3


async def test_a_missing_source_fails_the_node(harness: Harness) -> None:
    """A source that isn't there fails the node, not the runner."""
    source = d.SourceValues(node_id="n0", values=Values(uri="/nowhere/up.pb"))
    async with harness.runner():
        await harness.send(
            d.ResolveInputs(
                stream=container().stream, node_id="n1", attempt=0, bindings=(),
                sources=(source,), input_path="in/n1/inputs.pb",
            )
        )  # fmt: skip
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportResolutionFailed)
    assert "/nowhere/up.pb" in report.failure.message
