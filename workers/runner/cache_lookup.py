"""Cache look-ups: outputs in the catalog, and those that another node produces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog
from flyteidl.core import interface_pb2, literals_pb2
from google.protobuf.message import DecodeError

from domain.graph import START
from domain.literals.bindings import resolve
from domain.literals.cache_keys import catalog_key
from infra.blobs.files import BlobNotFoundError, Blobs
from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import TransientError
from infra.outages import log_failure
from infra.retry import retry_transient
from projections.queries.catalog import Hit
from projections.views.catalog import owner_of
from schemas.ids import CatalogKey
from schemas.messages.commands import ReportCacheLookedUp, ReportResolutionFailed
from schemas.messages.dispatches import LookUpCache
from schemas.phases import CacheStatus, ReservationStatus
from schemas.values import ErrorKind, Failure
from workers.runner.literal_cache import LiteralMapCache
from workers.runner.reports import resolution_failed

log_ = structlog.get_logger(__name__)

Report = ReportCacheLookedUp | ReportResolutionFailed

_T = TypeVar("_T")


class Catalog(Protocol):
    """Cached outputs; every method raises TransientError while it can't be reached."""

    async def find(self, key: CatalogKey) -> Hit | None:
        """Return the outputs of a key, if they are cached."""
        ...

    async def caught_up(self) -> bool:
        """Wait until it reflects every event of now; False if that takes too long."""
        ...

    async def reserve(self, key: CatalogKey, owner: str) -> bool:
        """Reserve a key for a while; False if another owner has reserved it."""
        ...

    async def extend(self, owners: Sequence[str]) -> None:
        """Extend the reservations of owners that still run."""
        ...

    async def release(self, key: CatalogKey, owner: str) -> None:
        """Release the reservation of an owner."""
        ...


@dataclass(slots=True, kw_only=True)
class CacheLookups:
    """Answers look-ups; waits while catalog or blobs can't be reached, without limit.

    Outputs that another node produces are looked up again every `poll_s`.
    """

    catalog: Catalog
    blobs: Blobs
    poll_s: float
    clock: Clock = SYSTEM_CLOCK
    _literal_maps: LiteralMapCache = field(init=False)

    def __post_init__(self) -> None:
        """Let elements of one array share what they read."""
        self._literal_maps = LiteralMapCache(self.blobs)

    async def reports(
        self, dispatch: LookUpCache, is_aborted: Callable[[], bool]
    ) -> AsyncIterator[Report]:
        """Yield the reports on a look-up: one, or two if outputs are waited for."""
        try:
            key = await self._key(dispatch)
            if isinstance(key, Failure):
                yield resolution_failed(dispatch, key)
            elif dispatch.overwrites:
                yield _report(dispatch, key, CacheStatus.SKIPPED)
            elif hit := await self._find(key) or await self._find_caught_up(key):
                yield _hit(dispatch, key, hit)
            elif not dispatch.serializes:
                yield _report(dispatch, key, CacheStatus.MISS)
            else:
                async for report in self._reserve(dispatch, key, is_aborted):
                    yield report
        except Exception as error:
            log_.exception("cache_lookup_failed", node=dispatch.node_id)
            message = f"Unexpected error in the cache look-up: {error!r}"
            yield resolution_failed(
                dispatch, _system_failure("CacheLookupFailure", message)
            )

    async def extend_reservations(self, attempts: Iterable[str]) -> None:
        """Extend the reservations of running attempts, if the catalog is there."""
        owners = [attempt.rpartition("/")[0] for attempt in attempts]
        if not owners:
            return
        try:
            await self.catalog.extend(owners)
        except TransientError as error:
            log_failure("reservations_not_extended", error)
        except Exception:
            log_.exception("reservations_not_extended")

    async def _key(self, dispatch: LookUpCache) -> CatalogKey | Failure:
        try:
            inputs = await self._inputs(dispatch)
            interface = interface_pb2.TypedInterface.FromString(dispatch.interface)
        except (BlobNotFoundError, DecodeError) as error:
            message = f"Cannot read the inputs of the cache key: {error}"
            return _system_failure("CacheKeyFailure", message)
        if isinstance(inputs, Failure):
            return inputs
        return catalog_key(
            dispatch.task, dispatch.cache_version, interface, inputs, dispatch.ignored
        )

    async def _inputs(self, dispatch: LookUpCache) -> literals_pb2.LiteralMap | Failure:
        """Return the inputs that make the key, or why they can't be resolved."""
        data, uri = dispatch.inputs.inline, dispatch.inputs.uri
        if data is None and dispatch.bindings:
            inputs = await self._retry_transient(lambda: self._literal_maps.read(uri))
        else:
            if data is None:
                data = await self._retry_transient(lambda: self.blobs.get(uri))
            inputs = literals_pb2.LiteralMap.FromString(data)
        if not dispatch.bindings:
            return inputs
        bindings = [literals_pb2.Binding.FromString(b) for b in dispatch.bindings]
        return resolve(bindings, {START: inputs})

    async def _reserve(
        self, dispatch: LookUpCache, key: CatalogKey, is_aborted: Callable[[], bool]
    ) -> AsyncIterator[Report]:
        """Reserve the key for the node, or wait for the outputs of who reserved it."""
        owner, is_waiting = owner_of(dispatch.stream, dispatch.node_id), False
        while not await self._retry_transient(lambda: self.catalog.reserve(key, owner)):
            if not is_waiting:
                is_waiting = True
                yield _report(dispatch, key, CacheStatus.MISS, ReservationStatus.EXISTS)
            await self.clock.sleep(self.poll_s)
            if is_aborted():
                return
            if hit := await self._find(key):
                yield _hit(dispatch, key, hit)
                return
        # The former owner may have stored the outputs since the last look-up.
        if hit := await self._find_caught_up(key):
            await self._retry_transient(lambda: self.catalog.release(key, owner))
            yield _hit(dispatch, key, hit)
            return
        yield _report(dispatch, key, CacheStatus.MISS, ReservationStatus.ACQUIRED)

    async def _find_caught_up(self, key: CatalogKey) -> Hit | None:
        """Look up again once the catalog reflects all events until now."""
        if not await self._retry_transient(self.catalog.caught_up):
            log_.warning("catalog_lagging", task=key.name)
        return await self._find(key)

    async def _find(self, key: CatalogKey) -> Hit | None:
        """Return cached outputs, unless their blob no longer exists."""
        hit = await self._retry_transient(lambda: self.catalog.find(key))
        if hit is None or hit.outputs.inline is not None:
            return hit
        uri = hit.outputs.uri
        if await self._retry_transient(lambda: self.blobs.size(uri)) is None:
            log_.warning("cached_outputs_missing", task=key.name, uri=uri)
            return None
        return hit

    async def _retry_transient(self, action: Callable[[], Awaitable[_T]]) -> _T:
        return await retry_transient(action, "cache_lookup_delayed", clock=self.clock)


def _system_failure(code: str, message: str) -> Failure:
    return Failure(code=code, message=message, kind=ErrorKind.SYSTEM)


def _hit(dispatch: LookUpCache, key: CatalogKey, hit: Hit) -> Report:
    return ReportCacheLookedUp(
        node_id=dispatch.node_id,
        attempt=dispatch.attempt,
        status=CacheStatus.HIT,
        key=key,
        outputs=hit.outputs,
        source=hit.source,
    )


def _report(
    dispatch: LookUpCache,
    key: CatalogKey,
    status: CacheStatus,
    reservation: ReservationStatus = ReservationStatus.DISABLED,
) -> Report:
    return ReportCacheLookedUp(
        node_id=dispatch.node_id,
        attempt=dispatch.attempt,
        status=status,
        key=key,
        reservation=reservation,
    )
