"""Cache look-ups: hits, misses, waits, and a catalog that can't be reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flyteidl.core import literals_pb2
from msgspec.structs import replace

from domain.literals.cache_keys import catalog_key
from projections.queries.catalog import Hit
from schemas.ids import CatalogKey
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import Values
from tests.support.cache_lookups import SOURCE
from tests.support.graphs import cached_template, integer, promise, values
from tests.support.harness.runner_harness import Harness

INTERFACE = cached_template().interface
LOOK_UP = d.LookUpCache(
    stream="execution/p/d/e",
    node_id="n0",
    attempt=0,
    task=SOURCE.task,
    cache_version="1",
    interface=INTERFACE.SerializeToString(),
    inputs=Values(inline=values(x=1)),
)
HIT = Hit(outputs=Values(inline=values(o0=2)), source=SOURCE)


def _key(data: bytes = values(x=1)) -> CatalogKey:
    inputs = literals_pb2.LiteralMap.FromString(data)
    key = catalog_key(SOURCE.task, "1", INTERFACE, inputs)
    assert isinstance(key, CatalogKey)
    return key


async def _answers(
    harness: Harness, look_up: d.LookUpCache, count: int = 1
) -> list[Any]:
    async with harness.runner():
        await harness.send(look_up)
        await harness.until(
            lambda: len(harness.reports()) >= count and harness.has_committed_all()
        )
    return harness.reports()


async def test_a_hit_is_reported_with_its_source(tmp_path: Path) -> None:
    """The report has the outputs, the key and the attempt that produced them."""
    harness = Harness(tmp_path)
    harness.catalog.kept[_key()] = HIT
    (report,) = await _answers(harness, LOOK_UP)

    assert (report.status, report.key) == ("HIT", _key())
    assert (report.outputs, report.source) == (HIT.outputs, SOURCE)


async def test_a_miss_is_reported_after_a_second_look_up(tmp_path: Path) -> None:
    """What is projected a moment later is found as well."""
    harness = Harness(tmp_path)
    assert (await _answers(harness, LOOK_UP))[0].status == "MISS"
    late = Harness(tmp_path)
    late.catalog.late[_key()] = HIT
    assert (await _answers(late, LOOK_UP))[0].status == "HIT"


async def test_overwriting_finds_nothing(tmp_path: Path) -> None:
    """The key is reported, cached outputs are ignored."""
    harness = Harness(tmp_path)
    harness.catalog.kept[_key()] = HIT
    (report,) = await _answers(harness, replace(LOOK_UP, overwrites=True))

    assert (report.status, report.outputs) == ("SKIPPED", None)


async def test_it_waits_for_a_catalog_that_cannot_be_reached(tmp_path: Path) -> None:
    """Nothing fails, and nothing is run in the meantime."""
    harness = Harness(tmp_path)
    harness.catalog.kept[_key()], harness.catalog.away = HIT, 2
    (report,) = await _answers(harness, LOOK_UP)

    assert report.status == "HIT"


async def test_large_inputs_are_read(tmp_path: Path) -> None:
    """Inputs in the blob store give the same key as inline ones."""
    harness = Harness(tmp_path)
    harness.catalog.kept[_key()] = HIT
    blob = await harness.blobs.put(harness.blobs.uri("in.pb"), values(x=1))
    inputs = Values(uri=blob.uri, digest=blob.digest, size=blob.size)
    (report,) = await _answers(harness, replace(LOOK_UP, inputs=inputs))

    assert report.status == "HIT"


async def test_an_elements_part_of_lists_is_the_key(tmp_path: Path) -> None:
    """Bindings select the values that make the key."""
    whole = literals_pb2.LiteralMap()
    whole.literals["x"].collection.literals.extend([integer(5), integer(1)])
    binding = promise("x", "start-node", "x")
    binding.binding.promise.attr_path.add(int_value=1)
    harness = Harness(tmp_path)
    harness.catalog.kept[_key()] = HIT
    look_up = replace(
        LOOK_UP,
        inputs=Values(inline=whole.SerializeToString()),
        bindings=(binding.SerializeToString(),),
    )
    (report,) = await _answers(harness, look_up)

    assert report.status == "HIT"


async def test_inputs_that_cannot_be_hashed_are_reported(tmp_path: Path) -> None:
    """A missing blob, bytes that are no literals, a literal without a value."""
    empty = literals_pb2.LiteralMap(literals={"x": literals_pb2.Literal()})
    gone = Values(uri=str(tmp_path / "gone.pb"), digest="0", size=1)
    for inputs in (
        gone,
        Values(inline=b"\xff\xff"),
        Values(inline=empty.SerializeToString()),
    ):
        (report,) = await _answers(Harness(tmp_path), replace(LOOK_UP, inputs=inputs))
        assert isinstance(report, c.ReportResolutionFailed)
        assert report.failure.code == "CacheKeyFailure"
        assert report.failure.message.startswith(("Expected ", "Cannot read "))


async def test_outputs_whose_blob_is_gone_are_a_miss(tmp_path: Path) -> None:
    """They are produced again, instead of failing the nodes that read them."""
    harness = Harness(tmp_path)
    gone = Values(uri=str(tmp_path / "gone.pb"), digest="0", size=1)
    harness.catalog.kept[_key()] = Hit(outputs=gone, source=SOURCE)
    (report,) = await _answers(harness, LOOK_UP)

    assert report.status == "MISS"


async def test_a_serialized_node_reserves_its_outputs(tmp_path: Path) -> None:
    """The first to ask may run."""
    harness = Harness(tmp_path)
    (report,) = await _answers(harness, replace(LOOK_UP, serializes=True))

    assert report.reservation == "ACQUIRED"
    assert harness.catalog.owners == {_key(): "execution/p/d/e/n0"}


async def test_it_waits_for_another_nodes_outputs(tmp_path: Path) -> None:
    """It reports that it waits, then that the outputs exist."""
    harness = Harness(tmp_path)
    harness.catalog.owners[_key()] = "another"
    async with harness.runner():
        await harness.send(replace(LOOK_UP, serializes=True))
        await harness.until(harness.reports)
        harness.catalog.kept[_key()] = HIT
        await harness.until(lambda: len(harness.reports()) == 2)

    waits, found = harness.reports()
    assert (waits.reservation, found.status) == ("EXISTS", "HIT")


async def test_a_released_reservation_is_acquired(tmp_path: Path) -> None:
    """After the owner has released it, the next node runs."""
    harness = Harness(tmp_path)
    harness.catalog.owners[_key()] = "another"
    async with harness.runner():
        await harness.send(replace(LOOK_UP, serializes=True))
        await harness.until(harness.reports)
        harness.catalog.owners.clear()
        await harness.until(lambda: len(harness.reports()) == 2)

    assert harness.reports()[1].reservation == "ACQUIRED"


async def test_an_aborted_wait_ends(tmp_path: Path) -> None:
    """An aborted look-up reserves nothing later, and its offset is committed."""
    harness = Harness(tmp_path)
    harness.catalog.owners[_key()] = "another"
    look_up = replace(LOOK_UP, serializes=True)
    abort = d.AbortTask(
        stream=look_up.stream, node_id=look_up.node_id, attempt=0, reason="enough"
    )
    async with harness.runner():
        await harness.send(look_up)
        await harness.until(harness.reports)
        await harness.send(abort)
        await harness.until(harness.has_committed_all)
        harness.catalog.owners.clear()

    assert len(harness.reports()) == 1
    assert not harness.catalog.owners
