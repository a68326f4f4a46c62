"""Reservations of cached outputs: waits, late outputs, lost reservations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from infra.blobs.files import FileBlobs
from projections.queries.catalog import Hit
from schemas.ids import CatalogKey
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import Values
from tests.support.cache_lookups import SOURCE
from tests.support.catalogs import MemoryCatalog
from tests.support.graphs import lists, promise, values
from tests.unit.workers.runner.test_cache_lookup import HIT, LOOK_UP, _key
from workers.runner.cache_lookup import CacheLookups

SERIAL = replace(LOOK_UP, serializes=True)


class SlowCatalog(MemoryCatalog):
    """A catalog that never reflects every event, or lets a reservation go late."""

    refusals = 0

    async def caught_up(self) -> bool:
        return False

    async def reserve(self, key: CatalogKey, owner: str) -> bool:
        self.refusals -= 1
        return self.refusals < 0 and await super().reserve(key, owner)


def _lookups(tmp_path: Path, catalog: MemoryCatalog) -> CacheLookups:
    return CacheLookups(catalog=catalog, blobs=FileBlobs(tmp_path), poll_s=0.001)


async def _reports(
    lookups: CacheLookups,
    dispatch: d.LookUpCache,
    is_aborted: Callable[[], bool] = lambda: False,
) -> list[Any]:
    return [report async for report in lookups.reports(dispatch, is_aborted)]


async def test_a_wait_is_reported_once(tmp_path: Path) -> None:
    """However often the other node's reservation is found."""
    catalog = SlowCatalog()
    catalog.refusals = 3
    waits, acquired = await _reports(_lookups(tmp_path, catalog), SERIAL)

    assert (waits.status, waits.reservation) == ("MISS", "EXISTS")
    assert (acquired.status, acquired.reservation) == ("MISS", "ACQUIRED")


async def test_outputs_of_the_former_owner_are_used(tmp_path: Path) -> None:
    """It may have stored them just before its reservation ended: nothing runs."""
    catalog = MemoryCatalog()

    async def late() -> bool:
        if catalog.owners:
            catalog.kept[_key()] = HIT
        return True

    catalog.caught_up = late  # type: ignore[method-assign]  # events come late
    (report,) = await _reports(_lookups(tmp_path, catalog), SERIAL)

    assert (report.status, report.outputs) == ("HIT", HIT.outputs)
    assert not catalog.owners


async def test_a_catalog_that_lags_is_asked_all_the_same(tmp_path: Path) -> None:
    """Outputs may be computed twice, but no execution waits for the read models."""
    (report,) = await _reports(_lookups(tmp_path, SlowCatalog()), LOOK_UP)

    assert report.status == "MISS"


async def test_outputs_in_a_blob_are_a_hit_while_it_exists(tmp_path: Path) -> None:
    """Only then: see outputs whose blob is gone."""
    lookups = _lookups(tmp_path, MemoryCatalog())
    blob = await lookups.blobs.put(lookups.blobs.uri("out.pb"), values(o0=2))
    stored = Values(uri=blob.uri, digest=blob.digest, size=blob.size)
    assert isinstance(lookups.catalog, MemoryCatalog)
    lookups.catalog.kept[_key()] = Hit(outputs=stored, source=SOURCE)
    (report,) = await _reports(lookups, LOOK_UP)

    assert (report.status, report.outputs) == ("HIT", stored)


async def test_elements_share_one_read_of_their_arrays_lists(tmp_path: Path) -> None:
    """The key of each is made of its own item."""
    lookups = _lookups(tmp_path, MemoryCatalog())
    assert isinstance(lookups.catalog, MemoryCatalog)
    lookups.catalog.kept[_key()] = HIT
    blob = await lookups.blobs.put(lookups.blobs.uri("in.pb"), lists(x=[5, 1]))
    answers = []
    for index in range(2):
        binding = promise("x", "start-node", "x")
        binding.binding.promise.attr_path.add(int_value=index)
        look_up = replace(
            LOOK_UP,
            inputs=Values(uri=blob.uri),
            bindings=(binding.SerializeToString(),),
        )
        answers += await _reports(lookups, look_up)
        Path(blob.uri).unlink(missing_ok=True)

    assert [answer.status for answer in answers] == ["MISS", "HIT"]


async def test_an_item_that_is_not_there_fails_the_element(tmp_path: Path) -> None:
    """Lists that are too short can't give a key."""
    binding = promise("x", "start-node", "x")
    binding.binding.promise.attr_path.add(int_value=9)
    look_up = replace(
        LOOK_UP,
        inputs=Values(inline=lists(x=[5])),
        bindings=(binding.SerializeToString(),),
    )
    (report,) = await _reports(_lookups(tmp_path, MemoryCatalog()), look_up)

    assert isinstance(report, c.ReportResolutionFailed)
    assert report.failure.code == "BindingResolutionFailure"


async def test_an_unexpected_error_fails_the_node(tmp_path: Path) -> None:
    """The node isn't left waiting for an answer."""
    catalog = MemoryCatalog()

    async def broken(key: CatalogKey) -> Hit | None:
        raise ZeroDivisionError(key)

    catalog.find = broken  # type: ignore[method-assign]  # a defect of the catalog
    (report,) = await _reports(_lookups(tmp_path, catalog), LOOK_UP)

    assert isinstance(report, c.ReportResolutionFailed)
    assert report.failure.code == "CacheLookupFailure"
    assert "ZeroDivisionError" in report.failure.message


async def test_reservations_of_running_attempts_are_extended(tmp_path: Path) -> None:
    """By node, not by attempt; a catalog that can't be reached is asked next time."""
    catalog = MemoryCatalog()
    lookups = _lookups(tmp_path, catalog)
    await lookups.extend_reservations([])
    catalog.away = 1
    await lookups.extend_reservations(["execution/p/d/e/n0/0"])
    assert catalog.extended == []
    await lookups.extend_reservations(["execution/p/d/e/n0/0"])
    assert catalog.extended == ["execution/p/d/e/n0"]
