"""The runner on a log in memory: what it reports, when, and what it leaves alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest
from flyteidl.core import types_pb2

from infra.eventlog.contract import Record
from schemas import topics
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import NO_VALUES, Values
from schemas.wire import codec
from tests.support.flytekit import tasks as t
from tests.support.harness.runner_harness import (
    House,
    abort,
    container,
    echo_task,
    record,
)
from workers.plugins.plugin import Succeeded


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Return an empty house."""
    return House(tmp_path)


async def test_a_fast_task_is_reported_once(house: House) -> None:
    """Work that ends before the delay sends its end alone."""
    house.plugin.end("n0").set_result(Succeeded(outputs=NO_VALUES))
    async with house.runner():
        await house.send(container())
        await house.until(house.reports)
    assert [type(r) for r in house.reports()] == [c.ReportTaskSucceeded]
    assert house.plugin.calls == [("start", "n0"), ("finalize", "n0")]


async def test_a_slow_task_takes_its_lease_first(house: House) -> None:
    """Work that goes on is reported as started; then its position may be kept."""
    async with house.runner("i7"):
        await house.send(container())
        await house.until(house.reports)
        await house.until(house.keeps_all)
        house.plugin.end("n0").set_result(Succeeded(outputs=NO_VALUES))
        await house.until(lambda: len(house.reports()) == 2)
    started, ended = house.reports()
    assert isinstance(started, c.ReportTaskStarted)
    assert (started.runner, started.incarnation) == ("r", "i7")
    assert isinstance(ended, c.ReportTaskSucceeded)
    assert ended.started_at_us == started.started_at_us


async def test_an_abort_stops_what_runs(house: House) -> None:
    """Aborted work is stopped and finalized, and nothing more is said of it."""
    task = container()
    async with house.runner():
        await house.send(task)
        await house.until(house.reports)
        await house.send(abort(task))
        await house.until(lambda: ("finalize", "n0") in house.plugin.calls)
    assert [type(r) for r in house.reports()] == [c.ReportTaskStarted]
    assert ("abort", "n0") in house.plugin.calls


async def test_an_abort_waits_for_no_slot(house: House) -> None:
    """Work that waits for a slot is dropped at once, and its position settled."""
    house.plugin.slots = asyncio.Semaphore(0)
    task = container()
    async with house.runner():
        await house.send(task)
        await asyncio.sleep(0.02)
        await house.send(abort(task))
        await house.until(house.keeps_all)
    assert house.reports() == []


async def test_an_aborted_dispatch_is_not_begun(house: House) -> None:
    """After a restart aborts are known before anything is started."""
    task = container()
    await house.log.open()
    await house.send(task, abort(task))
    async with house.runner():
        await house.until(house.keeps_all)
    assert house.plugin.calls == []


async def test_a_newer_dispatch_replaces_an_older(house: House) -> None:
    """Dispatched again, an attempt runs once: the newest dispatch counts."""
    async with house.runner():
        await house.send(container(dispatch_no=0))
        await house.until(house.reports)
        await house.send(container(dispatch_no=1))
        await house.until(lambda: len(house.reports()) == 2)
        await house.send(container(dispatch_no=0))
        house.plugin.end("n0").set_result(Succeeded(outputs=NO_VALUES))
        await house.until(lambda: len(house.reports()) == 3)
        await house.until(lambda: len(house.plugin.calls) == 5)
    assert [r.dispatch_no for r in house.reports()] == [0, 1, 1]
    assert house.plugin.calls.count(("start", "n0")) == 2


async def test_what_was_reported_is_not_run_again(house: House) -> None:
    """Read again after a crash, work that was begun or has ended is left alone."""
    house.plugin.end("n1").set_result(Succeeded(outputs=NO_VALUES))
    async with house.runner("i1"):
        await house.send(container("n0"), container("n1"))
        await house.until(lambda: len(house.reports()) == 2)
    house.data.positions.clear()  # as if the position had not been kept
    house.plugin.calls.clear()
    async with house.runner("i2"):
        await house.send(container("n2"))
        await house.until(lambda: ("start", "n2") in house.plugin.calls)
    assert [node for _, node in house.plugin.calls if node != "n2"] == []


async def test_waiting_work_comes_again(house: House) -> None:
    """Work that nobody reported on is done by the next incarnation."""
    house.plugin.slots = asyncio.Semaphore(0)
    async with house.runner("i1"):
        await house.send(container())
        await house.until(house.plugin.slots.locked)
        await asyncio.sleep(0.05)
    house.plugin.slots = asyncio.Semaphore(1)
    house.plugin.end("n0").set_result(Succeeded(outputs=NO_VALUES))
    async with house.runner("i2"):
        await house.until(house.reports)
    assert [r.incarnation for r in house.reports()] == ["i2"]


async def test_a_defect_of_the_plugin_is_the_systems(house: House) -> None:
    """Whatever a plugin raises becomes a failure that may be retried."""
    house.plugin.error = RuntimeError("disk on fire")
    async with house.runner():
        await house.send(container())
        await house.until(house.reports)
    (report,) = house.reports(c.ReportTaskFailed)
    assert report.recoverable
    assert report.failure.kind == "SYSTEM"
    assert "disk on fire" in report.failure.message


async def test_echo_tasks_share_appends(house: House) -> None:
    """A batch of echo dispatches is answered by one append."""
    await house.log.open()
    await house.send(*(echo_task(f"n{i}") for i in range(50)))
    appends: list[int] = []
    append = house.log.append

    def counted(records: list[Record]) -> Awaitable[None]:
        appends.append(len(records))
        return append(records)

    house.log.append = counted  # type: ignore[method-assign]
    async with house.runner():
        await house.until(lambda: len(house.reports()) == 50)
    assert appends == [1, 50]
    assert {t.number(r.outputs.inline, "b") for r in house.reports()} == {21}


async def test_large_echoes_go_by_reference(house: House) -> None:
    """Outputs beyond the inline limit lie in the blob store."""
    data = t.integers(**{f"x{i}": i for i in range(30)}, a=5)
    blob = await house.blobs.put(house.blobs.uri("in.pb"), data)
    outputs = {f"o{i}": types_pb2.INTEGER for i in range(30)}
    template = t.container_task([], {"a": 1}, outputs, kind="echo")
    async with house.runner():
        await house.send(t.dispatch(template, inputs=Values(uri=blob.uri)))
        await house.until(house.reports)
    (report,) = house.reports(c.ReportTaskSucceeded)
    assert report.outputs.inline is None
    assert report.outputs.size == len(await house.blobs.get(report.outputs.uri))


async def test_without_a_plugin_containers_echo(house: House) -> None:
    """Under --plugin echo container tasks succeed without a process."""
    async with house.runner(echoes=True):
        await house.send(container())
        await house.until(house.reports)
    assert isinstance(house.reports()[0], c.ReportTaskSucceeded)
    assert house.plugin.calls == []


async def test_an_unknown_task_type_is_told(house: House) -> None:
    """A task type that nobody runs is a permanent failure that names it."""
    spark = t.container_task(["x"], kind="spark")
    spark.ClearField("container")
    async with house.runner():
        await house.send(t.dispatch(spark))
        await house.until(house.reports)
    (report,) = house.reports(c.ReportTaskFailed)
    assert not report.recoverable
    assert "spark" in report.failure.message


async def test_unreadable_dispatches_are_put_aside(house: House) -> None:
    """Bytes that no version knows go to dead letters; the next dispatch runs."""
    house.plugin.end("n0").set_result(Succeeded(outputs=NO_VALUES))
    broken = record(container("bad"))
    broken = Record(
        topic=broken.topic, key=broken.key, envelope=broken.envelope, body=b"\xc3what"
    )
    async with house.runner():
        await house.log.append([broken])
        await house.send(container())
        await house.until(house.reports)
    assert len(house.on(topics.DEAD_LETTERS)) == 1


async def test_it_beats_from_the_start(house: House) -> None:
    """The first heartbeat comes at once, and then again and again."""
    async with house.runner(heartbeat_s=0.02):
        await house.until(lambda: len(house.on(topics.COMMANDS)) >= 3)
    first = codec.decode(house.on(topics.COMMANDS)[0].body)
    assert isinstance(first, c.Heartbeat)
    assert (first.runner, first.incarnation) == ("r", "i1")


async def test_it_reads_no_more_than_it_may_hold(house: House) -> None:
    """With as many dispatches open as allowed, the rest stays on the log."""
    house.plugin.slots = asyncio.Semaphore(0)
    async with house.runner(waiting_max=3) as runner:
        await house.send(*(container(f"n{i}") for i in range(9)))
        await asyncio.sleep(0.1)
        assert len(runner._positions) == 3


async def test_inputs_are_resolved(house: House) -> None:
    """Sources are read, bindings resolved, large results written beside the node."""
    many = {f"x{i}": i for i in range(40)}
    blob = await house.blobs.put(house.blobs.uri("up.pb"), t.integers(**many))
    bindings = []
    for name in many:
        binding = t.literals_pb2.Binding(var=name)
        binding.binding.promise.node_id = "n0"
        binding.binding.promise.var = name
        bindings.append(binding.SerializeToString())
    source = d.SourceValues(node_id="n0", values=Values(uri=blob.uri))
    async with house.runner():
        await house.send(
            d.ResolveInputs(
                stream=container().stream, node_id="n1", attempt=0,
                bindings=tuple(bindings), sources=(source,),
                input_path="in/n1/inputs.pb", operands=("x3",),
            )
        )  # fmt: skip
        await house.until(house.reports)
    (report,) = house.reports(c.ReportInputsResolved)
    assert report.inputs.uri == house.blobs.uri("in/n1/inputs.pb")
    assert report.inputs.inline is None
    assert t.number(report.operands, "x3") == 3


async def test_a_missing_source_is_told(house: House) -> None:
    """A source that isn't there fails the node, not the runner."""
    source = d.SourceValues(node_id="n0", values=Values(uri="/nowhere/up.pb"))
    async with house.runner():
        await house.send(
            d.ResolveInputs(
                stream=container().stream, node_id="n1", attempt=0, bindings=(),
                sources=(source,), input_path="in/n1/inputs.pb",
            )
        )  # fmt: skip
        await house.until(house.reports)
    (report,) = house.reports(c.ReportResolutionFailed)
    assert "/nowhere/up.pb" in report.failure.message
