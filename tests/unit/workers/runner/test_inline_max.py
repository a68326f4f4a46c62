"""A dispatch that wants values by reference gets them so, whatever their size."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import Values
from tests.support.flytekit import tasks as t
from tests.support.graphs import promise, values
from tests.support.harness.runner_harness import Harness, container, echo_task
from workers.plugins.plugin import inline_max

CONFIGURED = 100


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """Return a harness whose runner reports 100 bytes inline."""
    return Harness(tmp_path)


@pytest.mark.parametrize(
    ("wanted", "found"), [(-1, CONFIGURED), (0, 0), (7, 7), (10**6, CONFIGURED)]
)
def test_a_dispatch_lowers_what_is_configured(wanted: int, found: int) -> None:
    """Never raises it: the log stores no larger messages."""
    assert inline_max(container(inline_max=wanted), CONFIGURED) == found


@pytest.mark.parametrize("index", [-1, 0])
@pytest.mark.parametrize("limit", [-1, 0])
async def test_echoes_are_blobs_where_that_is_wanted(
    harness: Harness, limit: int, index: int
) -> None:
    """Also those of elements, which are never written otherwise."""
    async with harness.runner():
        await harness.send(echo_task(inline_max=limit, array_index=index))
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportTaskSucceeded)
    found = report.outputs

    if limit < 0:
        assert (t.number(found.inline, "b"), found.uri) == (21, "")
    else:
        assert found.inline is None
        assert t.number(await harness.blobs.get(found.uri), "b") == 21
        assert found.size > 0


@pytest.mark.parametrize("is_array", [False, True])
async def test_inputs_are_blobs_where_that_is_wanted(
    harness: Harness, *, is_array: bool
) -> None:
    """The lower one of two limits counts: an array's own, or the dispatch's."""
    dispatch = d.ResolveInputs(
        stream=container().stream,
        node_id="n1",
        attempt=0,
        bindings=(promise("x", "n0").SerializeToString(),),
        sources=(d.SourceValues(node_id="n0", values=Values(inline=values(o0=7))),),
        input_path="in/n1/inputs.pb",
        inline_max=0,
    )
    if is_array:
        shape = d.ArrayShape(bound=("x",), inline_max=CONFIGURED)
        dispatch = replace(dispatch, array=shape)
    async with harness.runner():
        await harness.send(dispatch)
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportInputsResolved)

    assert report.inputs.inline is None
    assert await harness.blobs.get(report.inputs.uri) == values(x=7)


async def test_the_outputs_of_a_child_are_stored_as_they_are(harness: Harness) -> None:
    """No lists are made of them."""
    dispatch = d.GatherOutputs(
        stream=container().stream,
        node_id="n1",
        attempt=0,
        size=1,
        names=(),
        indexes=(0,),
        sources=(Values(inline=values(o0=7)),),
        output_path="out/n1/0/outputs.pb",
        as_is=True,
    )
    async with harness.runner():
        await harness.send(dispatch)
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportOutputsGathered)

    assert report.outputs.uri == harness.blobs.uri(dispatch.output_path)
    assert await harness.blobs.get(report.outputs.uri) == values(o0=7)


async def test_more_elements_than_any_array_has_are_refused(harness: Harness) -> None:
    """A damaged dispatch fails, and doesn't keep the runner busy for ever."""
    dispatch = d.GatherOutputs(
        stream=container().stream,
        node_id="n1",
        attempt=0,
        size=2**62,
        names=("o0",),
        indexes=(0,),
        sources=(Values(inline=values(o0=7)),),
        output_path="out/n1/0/outputs.pb",
    )
    async with harness.runner():
        await harness.send(dispatch)
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportOutputsGathered)

    assert report.failure is not None
    assert "elements" in report.failure.message
