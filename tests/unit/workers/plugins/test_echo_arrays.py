"""What runners do for arrays: sizes, items by index, and lists of outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from flyteidl.core import literals_pb2, types_pb2
from msgspec.structs import replace

from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import Values
from tests.support.flytekit import tasks as t
from tests.support.graphs import integer, lists, promise, values
from tests.support.harness.runner_harness import Harness, container
from workers.plugins.echo import echo

INTEGER = types_pb2.LiteralType(simple=types_pb2.INTEGER)
LIST = types_pb2.LiteralType(collection_type=INTEGER)
STREAM = container().stream


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """Return a harness whose log is empty."""
    return Harness(tmp_path)


def echoing(*outputs: str, bound: Sequence[str] = ()) -> Any:
    """Return a map task as flytekit registers it: from lists to lists."""
    template = t.container_task([], kind="echo")
    for name in ("x", *bound):
        template.interface.inputs.variables[name].type.CopyFrom(LIST)
    for name in outputs:
        template.interface.outputs.variables[name].type.CopyFrom(LIST)
    return template


def items_of(data: bytes | None, name: str = "o0") -> list[int | None]:
    """Return the list of a serialized literal map, None for elements without output."""
    literals = literals_pb2.LiteralMap.FromString(data or b"").literals
    return [
        item.scalar.primitive.integer if item.scalar.HasField("primitive") else None
        for item in literals[name].collection.literals
    ]


def gathering(*sources: tuple[int, Values], size: int = 3) -> d.GatherOutputs:
    """Return a dispatch to gather the outputs of these elements."""
    return d.GatherOutputs(
        stream=STREAM,
        node_id="n0",
        attempt=0,
        size=size,
        names=("o0",),
        indexes=tuple(index for index, _ in sources),
        sources=tuple(found for _, found in sources),
        output_path="out/n0/0/outputs.pb",
    )


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_element_echoes_its_own_item(index: int) -> None:
    """Of a list the item at the index, whether the inputs are read already or not."""
    given = lists(x=[5, 6, 7])
    for inputs in (given, literals_pb2.LiteralMap.FromString(given)):
        found = literals_pb2.LiteralMap.FromString(echo(echoing("o0"), inputs, index))
        assert found.literals["o0"] == integer(5 + index)


def test_an_element_with_several_outputs_yields_a_zero_for_each() -> None:
    """The zero is that of the items, not an empty list."""
    data = echo(echoing("o0", "o1"), lists(x=[5]), 0)
    found = literals_pb2.LiteralMap.FromString(data).literals

    assert dict(found) == {"o0": integer(0), "o1": integer(0)}


async def test_elements_of_a_list_by_reference(harness: Harness) -> None:
    """Each finds its item in the blob; each report is small."""
    many = list(range(200))
    blob = await harness.blobs.put(harness.blobs.uri("in.pb"), lists(x=many))
    async with harness.runner():
        await harness.send(
            *(
                replace(
                    t.dispatch(echoing("o0"), f"n0-0-n{i}"),
                    inputs=Values(uri=blob.uri, size=blob.size),
                    array_index=i,
                )
                for i in many
            )
        )
        await harness.until(lambda: len(harness.reports()) == len(many))
    reports = harness.reports(c.ReportTaskSucceeded)
    found = {r.node_id: t.number(r.outputs.inline, "o0") for r in reports}

    assert found == {f"n0-0-n{i}": i for i in many}
    assert not list(Path(harness.blobs.root).rglob("outputs.pb"))


async def test_a_damaged_list_fails_each_element(harness: Harness) -> None:
    """Bytes that can't be decoded fail all elements that need them."""
    blob = await harness.blobs.put(harness.blobs.uri("in.pb"), b"\xff\xff")
    async with harness.runner():
        await harness.send(
            *(
                replace(
                    t.dispatch(echoing("o0"), f"n0-0-n{i}"),
                    inputs=Values(uri=blob.uri),
                    array_index=i,
                )
                for i in range(2)
            )
        )
        await harness.until(lambda: len(harness.reports()) == 2)

    failures = {r.failure.code for r in harness.reports(c.ReportTaskFailed)}
    assert failures == {"BadTaskInputs"}


async def test_outputs_are_gathered_in_order(harness: Harness) -> None:
    """Inline ones and blobs; failed elements become none."""
    blob = await harness.blobs.put(harness.blobs.uri("two.pb"), values(o0=7))
    far, near = Values(uri=blob.uri, size=blob.size), Values(inline=values(o0=5))
    async with harness.runner():
        await harness.send(gathering((2, far), (0, near)))
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportOutputsGathered)

    assert report.failure is None
    assert items_of(report.outputs.inline) == [5, None, 7]
    stored = await harness.blobs.get(harness.blobs.uri("out/n0/0/outputs.pb"))
    assert items_of(stored) == [5, None, 7]


async def test_large_lists_go_by_reference(harness: Harness) -> None:
    """They are written once, beside the array's data."""
    size = 50
    near = [(i, Values(inline=values(o0=i))) for i in range(size)]
    async with harness.runner():
        await harness.send(gathering(*near, size=size))
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportOutputsGathered)

    assert report.outputs.inline is None
    assert items_of(await harness.blobs.get(report.outputs.uri)) == list(range(size))
    assert len(list(Path(harness.blobs.root).rglob("*.pb"))) == 1


@pytest.mark.parametrize("damaged", [False, True])
async def test_outputs_that_cannot_be_read_are_reported(
    harness: Harness, *, damaged: bool
) -> None:
    """A missing or damaged blob is a system failure."""
    uri = harness.blobs.uri("two.pb")
    if damaged:
        await harness.blobs.put(uri, b"\xff\xff")
    async with harness.runner():
        await harness.send(gathering((0, Values(uri=uri))))
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportOutputsGathered)

    assert report.outputs is None
    assert (report.failure.code, report.failure.kind) == ("OutputsNotFound", "SYSTEM")


def sizing(given: dict[str, Values], bound: Sequence[str] = ()) -> d.ResolveInputs:
    """Return a dispatch to resolve an array's inputs and size."""
    bindings = [promise(name, name, "l") for name in given]
    return d.ResolveInputs(
        stream=STREAM,
        node_id="n9",
        attempt=0,
        bindings=tuple(b.SerializeToString() for b in bindings),
        sources=tuple(
            d.SourceValues(node_id=name, values=found) for name, found in given.items()
        ),
        input_path="in/n9/inputs.pb",
        array=d.ArrayShape(bound=tuple(bound), inline_max=60),
    )


@pytest.mark.parametrize(
    ("lengths", "bound", "size"),
    [
        ({"a": 3, "b": 3}, (), 3),
        ({"a": 3, "b": 9}, ("b",), 3),
        ({"a": 3, "b": 9}, ("a", "b"), 1),
        ({"a": 0, "b": 0}, (), 0),
    ],
)
async def test_the_size_is_that_of_the_lists(
    harness: Harness, lengths: dict[str, int], bound: tuple[str, ...], size: int
) -> None:
    """Bound inputs don't count; large inputs are written beside the array."""
    given = {
        name: Values(inline=lists(l=list(range(length))))
        for name, length in lengths.items()
    }
    async with harness.runner():
        await harness.send(sizing(given, bound))
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportInputsResolved)

    assert report.size == size
    is_small = report.inputs.inline is not None
    assert is_small == (sum(lengths.values()) < 4)


async def test_lists_of_different_lengths_are_reported(harness: Harness) -> None:
    """The failure names each list with its length."""
    given = {
        name: Values(inline=lists(l=list(range(length))))
        for name, length in (("a", 2), ("b", 3))
    }
    async with harness.runner():
        await harness.send(sizing(given))
        await harness.until(harness.reports)
    (report,) = harness.reports(c.ReportResolutionFailed)

    assert report.failure.code == "InvalidArrayLength"
    assert "'a' 2, 'b' 3" in report.failure.message
