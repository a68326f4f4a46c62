"""Inputs that a runner resolves: from blobs, into offloaded values, and failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flyteidl.core import interface_pb2, literals_pb2
from msgspec.structs import replace

from infra.blobs.files import FileBlobs
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import ErrorKind, Values
from tests.support.graphs import integer, lists, promise, values
from tests.support.literals import MOMENT, packed, primitive, text
from workers.runner.input_resolver import InputResolver
from workers.runner.literal_cache import LiteralMapCache

INLINE_MAX = 500


class CountingBlobs(FileBlobs):
    """Files that count how often each was read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[str] = []

    async def get(self, uri: str) -> bytes:
        self.reads.append(uri)
        return await super().get(uri)


@pytest.fixture
def blobs(tmp_path: Path) -> CountingBlobs:
    """Return an empty store."""
    return CountingBlobs(tmp_path)


def _binding(node_id: str, *path: str | int, var: str = "x") -> Any:
    binding = promise(var, node_id)
    for step in path:
        if isinstance(step, int):
            binding.binding.promise.attr_path.add(int_value=step)
        else:
            binding.binding.promise.attr_path.add(string_value=step)
    return binding


def _dispatch(*bindings: Any, **sources: Values) -> d.ResolveInputs:
    return d.ResolveInputs(
        stream="execution/p/d/e",
        node_id="n9",
        attempt=0,
        bindings=tuple(binding.SerializeToString() for binding in bindings),
        sources=tuple(
            d.SourceValues(node_id=name, values=found)
            for name, found in sources.items()
        ),
        input_path="n9/inputs.pb",
    )


async def _offloaded(blobs: FileBlobs, name: str, literal: Any, **more: Any) -> Any:
    """Store a literal in a blob of its own, and return what stands for it."""
    blob = await blobs.put(blobs.uri(name), literal.SerializeToString())
    metadata = literals_pb2.LiteralOffloadedMetadata(uri=blob.uri)
    return literals_pb2.Literal(offloaded_metadata=metadata, **more)


def _outputs(literal: Any) -> Values:
    literals = literals_pb2.LiteralMap(literals={"o0": literal})
    return Values(inline=literals.SerializeToString())


async def _resolve(blobs: FileBlobs, dispatch: d.ResolveInputs) -> Any:
    literal_maps = LiteralMapCache(blobs)
    return await InputResolver(blobs, INLINE_MAX, literal_maps).resolve(dispatch)


def _given(report: Any) -> Any:
    assert isinstance(report, c.ReportInputsResolved), report
    return literals_pb2.LiteralMap.FromString(report.inputs.inline or b"").literals


async def test_outputs_in_a_blob_are_read(blobs: CountingBlobs) -> None:
    """Each source once, whatever is bound to it."""
    blob = await blobs.put(blobs.uri("out.pb"), values(o0=7))
    bindings = [_binding("n0"), _binding("n0", var="y")]
    report = await _resolve(blobs, _dispatch(*bindings, n0=Values(uri=blob.uri)))

    assert _given(report) == {"x": integer(7), "y": integer(7)}
    assert blobs.reads == [blob.uri]


async def test_a_path_is_followed_into_an_offloaded_value(
    blobs: CountingBlobs,
) -> None:
    """However often values on the path are offloaded; others stay where they are."""
    inner = await _offloaded(blobs, "inner.pb", packed({"a": 5}))
    outer = literals_pb2.Literal()
    outer.map.literals["k"].CopyFrom(inner)
    source = _outputs(await _offloaded(blobs, "outer.pb", outer))
    report = await _resolve(blobs, _dispatch(_binding("n0", "k", "a"), n0=source))
    assert _given(report)["x"] == integer(5)

    untouched = await _resolve(blobs, _dispatch(_binding("n0"), n0=source))
    assert _given(untouched)["x"].HasField("offloaded_metadata")


async def test_two_paths_into_one_offloaded_value_read_it_once(
    blobs: CountingBlobs,
) -> None:
    """The first one fills it in for both."""
    source = _outputs(await _offloaded(blobs, "two.pb", packed({"a": 5, "b": 6})))
    bindings = [_binding("n0", "a"), _binding("n0", "b", var="y")]
    report = await _resolve(blobs, _dispatch(*bindings, n0=source))

    assert _given(report) == {"x": integer(5), "y": integer(6)}
    assert len(blobs.reads) == 1


async def test_a_text_of_a_dataclass_becomes_the_time_that_it_is(
    blobs: CountingBlobs,
) -> None:
    """As where the engine resolves it: only the type of the input tells."""
    source = _outputs(packed({"at": "2020-01-01T00:00:00", "text": "2020-01-01"}))
    bindings = [_binding("n0", "at"), _binding("n0", "text", var="y")]
    times = interface_pb2.VariableMap()
    times.variables["x"].type.CopyFrom(MOMENT)
    dispatch = replace(_dispatch(*bindings, n0=source), times=times.SerializeToString())
    found = _given(await _resolve(blobs, dispatch))

    assert found["x"] == primitive(datetime={"seconds": 1_577_836_800})
    assert found["y"] == text("2020-01-01")


async def test_what_a_condition_compares_is_read(blobs: CountingBlobs) -> None:
    """Operands are reported beside the inputs; a hash stays with its value."""
    operand = await _offloaded(blobs, "x.pb", integer(5), hash="h")
    other = await _offloaded(blobs, "y.pb", integer(6))
    outputs = literals_pb2.LiteralMap(literals={"o0": operand, "o1": other})
    source = Values(inline=outputs.SerializeToString())
    second = promise("y", "n0", "o1")
    dispatch = _dispatch(_binding("n0"), second, n0=source)
    report = await _resolve(blobs, replace(dispatch, operands=("x", "gone")))

    compared = literals_pb2.LiteralMap.FromString(report.operands).literals
    assert set(compared) == {"x"}
    assert compared["x"].scalar.primitive.integer == 5
    assert compared["x"].hash == "h"
    assert len(blobs.reads) == 1


async def test_the_size_of_an_offloaded_list_is_known_once_it_is_read(
    blobs: CountingBlobs,
) -> None:
    """Inputs that each element gets as they are needn't be read."""
    numbers = literals_pb2.LiteralMap.FromString(lists(l=[1, 2, 3])).literals["l"]
    split = _outputs(await _offloaded(blobs, "list.pb", numbers))
    bound = _outputs(await _offloaded(blobs, "bound.pb", numbers))
    shape = d.ArrayShape(bound=("y",), inline_max=INLINE_MAX)
    dispatch = _dispatch(_binding("n0"), _binding("n1", var="y"), n0=split, n1=bound)
    report = await _resolve(blobs, replace(dispatch, array=shape))

    assert report.size == 3
    assert blobs.reads == [blobs.uri("list.pb")]


async def test_large_inputs_go_into_a_blob(blobs: CountingBlobs) -> None:
    """Where the node's inputs are stored."""
    source = Values(inline=values(o0=1))
    bindings = [_binding("n0", var="x" * 999)]
    report = await _resolve(blobs, _dispatch(*bindings, n0=source))

    assert report.inputs.inline is None
    assert report.inputs.uri == blobs.uri("n9/inputs.pb")
    assert await blobs.get(report.inputs.uri)


async def _failure(blobs: FileBlobs, dispatch: d.ResolveInputs) -> Any:
    report = await _resolve(blobs, dispatch)
    assert isinstance(report, c.ReportResolutionFailed)
    assert report.failure.kind == ErrorKind.SYSTEM
    return report.failure


async def test_what_cannot_be_read_fails_the_node(blobs: CountingBlobs) -> None:
    """A missing or damaged source, and a value that was offloaded and is gone."""
    gone = Values(uri=blobs.uri("gone.pb"))
    metadata = literals_pb2.LiteralOffloadedMetadata(uri=gone.uri)
    lost = _outputs(literals_pb2.Literal(offloaded_metadata=metadata))
    operand = replace(_dispatch(_binding("n0"), n0=lost), operands=("x",))
    for dispatch, begins in (
        (_dispatch(_binding("n0"), n0=gone), "Cannot read the inputs' sources: "),
        (
            _dispatch(_binding("n0"), n0=Values(inline=b"\xff")),
            "Cannot read the inputs' sources: ",
        ),
        (
            _dispatch(_binding("n0", "a"), n0=lost),
            "Cannot read the inputs' sources: ",
        ),
        (operand, "Cannot read offloaded inputs: "),
    ):
        failure = await _failure(blobs, dispatch)
        assert failure.code == "BindingResolutionFailure"
        assert failure.message.startswith(begins)


async def test_a_binding_that_leads_nowhere_fails_the_node(
    blobs: CountingBlobs,
) -> None:
    """The message names the input, and what is missing."""
    source = Values(inline=values(o1=1))
    failure = await _failure(blobs, _dispatch(_binding("n0"), n0=source))

    assert failure.code == "BindingResolutionFailure"
    assert "node 'n0' has no output 'o0'" in failure.message


async def test_an_unexpected_error_is_reported_too(blobs: CountingBlobs) -> None:
    """The node fails; it isn't left waiting for a report."""

    async def broken(uri: str) -> bytes:
        raise ZeroDivisionError(uri)

    blobs.get = broken  # type: ignore[method-assign]  # a defect of the store
    dispatch = _dispatch(_binding("n0"), n0=Values(uri="/b/x"))

    assert "ZeroDivisionError" in (await _failure(blobs, dispatch)).message
