"""Looks outputs up in the catalog, and waits for those that another node makes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import structlog
from flyteidl.core import interface_pb2, literals_pb2
from google.protobuf.message import DecodeError

from domain.literals.bindings import START, resolve
from domain.literals.cache_keys import catalog_key
from infra.blobs.files import BlobNotFoundError, Blobs
from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import TransientError
from infra.retry import retry_transient
from projections.queries.catalog import Hit
from projections.views.catalog import owner_of
from schemas.ids import CatalogKey
from schemas.messages.commands import ReportCacheLookedUp, ReportResolutionFailed
from schemas.messages.dispatches import LookUpCache
from schemas.values import Failure
from workers.runner.literal_cache import LiteralMapCache

log_ = structlog.get_logger(__name__)

Report = ReportCacheLookedUp | ReportResolutionFailed

_T = TypeVar("_T")


class Catalog(Protocol):
    """Outputs kept for reuse; every method raises Transient while it is away."""

    async def find(self, key: CatalogKey) -> Hit | None:
        """Return the outputs of a key, if they are kept."""
        ...

    async def caught_up(self) -> bool:
        """Wait until it knows every event of now; False if it takes too long."""
        ...

    async def reserve(self, key: CatalogKey, owner: str) -> bool:
        """Let an owner make outputs alone for a while; False if another does."""
        ...

    async def extend(self, owners: Sequence[str]) -> None:
        """Keep reservations from expiring, as their owners are at work."""
        ...

    async def release(self, key: CatalogKey, owner: str) -> None:
        """Let others make the outputs."""
        ...


@dataclass(slots=True, kw_only=True)
class LookUps:
    """Answers look-ups; waits out whatever is away, however long that takes.

    Outputs that another node makes are looked for again each `poll_s`.
    """

    catalog: Catalog
    blobs: Blobs
    poll_s: float
    clock: Clock = SYSTEM_CLOCK
    _wholes: LiteralMapCache = field(init=False)

    def __post_init__(self) -> None:
        """Let elements of one array share what they read."""
        self._wholes = LiteralMapCache(self.blobs)

    async def answers(
        self, dispatch: LookUpCache, is_aborted: Callable[[], bool]
    ) -> AsyncIterator[Report]:
        """Yield the reports on a look-up: one, or two if outputs are awaited."""
        try:
            key = await self._key(dispatch)
            if isinstance(key, Failure):
                yield _failed(dispatch, key)
            elif dispatch.overwrites:
                yield _report(dispatch, key, "SKIPPED")
            elif hit := await self._find(key) or await self._find_late(key):
                yield _hit(dispatch, key, hit)
            elif not dispatch.serializes:
                yield _report(dispatch, key, "MISS")
            else:
                async for answer in self._reserve(dispatch, key, is_aborted):
                    yield answer
        except Exception as error:
            log_.exception("look_up_failed", node=dispatch.node_id)
            message = f"Expected to look the outputs up, but: {error!r}"
            failure = Failure(code="CacheLookupFailure", message=message, kind="SYSTEM")
            yield _failed(dispatch, failure)

    async def keep_alive(self, attempts: Iterable[str]) -> None:
        """Keep reservations of attempts that run; a catalog that is away waits."""
        owners = [attempt.rpartition("/")[0] for attempt in attempts]
        if not owners:
            return
        try:
            await self.catalog.extend(owners)
        except TransientError as error:
            log_.warning("reservations_not_extended", error=str(error))

    async def _key(self, dispatch: LookUpCache) -> CatalogKey | Failure:
        try:
            inputs = await self._inputs(dispatch)
            interface = interface_pb2.TypedInterface.FromString(dispatch.interface)
        except (BlobNotFoundError, DecodeError) as error:
            message = (
                f"Expected to read the inputs that are the cache's key, but: {error}"
            )
            return Failure(code="CacheKeyFailure", message=message, kind="SYSTEM")
        if isinstance(inputs, Failure):
            return inputs
        return catalog_key(
            dispatch.task, dispatch.cache_version, interface, inputs, dispatch.ignored
        )

    async def _inputs(self, dispatch: LookUpCache) -> Any:
        """Return what counts as a core.LiteralMap, or a Failure to take it out."""
        data, uri = dispatch.inputs.inline, dispatch.inputs.uri
        if data is None and dispatch.bindings:
            inputs = await self._retry_transient(lambda: self._wholes.read(uri))
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
        """Let the node make the outputs alone, or wait for who does."""
        owner, is_told = owner_of(dispatch.stream, dispatch.node_id), False
        while not await self._retry_transient(lambda: self.catalog.reserve(key, owner)):
            if not is_told:
                is_told = True
                yield _report(dispatch, key, "MISS", reservation="EXISTS")
            await self.clock.sleep(self.poll_s)
            if is_aborted():
                return
            if hit := await self._find(key):
                yield _hit(dispatch, key, hit)
                return
        # Who held the reservation may have kept the outputs since the last look.
        if hit := await self._find_late(key):
            await self._retry_transient(lambda: self.catalog.release(key, owner))
            yield _hit(dispatch, key, hit)
            return
        yield _report(dispatch, key, "MISS", reservation="ACQUIRED")

    async def _find_late(self, key: CatalogKey) -> Hit | None:
        """Look again once the catalog knows what has happened until now."""
        if not await self._retry_transient(self.catalog.caught_up):
            log_.warning("catalog_behind", task=key.name)
        return await self._find(key)

    async def _find(self, key: CatalogKey) -> Hit | None:
        """Return kept outputs; those whose blob is gone are none."""
        hit = await self._retry_transient(lambda: self.catalog.find(key))
        if hit is None or hit.outputs.inline is not None:
            return hit
        uri = hit.outputs.uri
        if await self._retry_transient(lambda: self.blobs.size(uri)) is None:
            log_.warning("cached_outputs_gone", task=key.name, uri=uri)
            return None
        return hit

    async def _retry_transient(self, action: Callable[[], Awaitable[_T]]) -> _T:
        return await retry_transient(action, "look_up_delayed", clock=self.clock)


def _failed(dispatch: LookUpCache, failure: Failure) -> Report:
    return ReportResolutionFailed(
        node_id=dispatch.node_id, attempt=dispatch.attempt, failure=failure
    )


def _hit(dispatch: LookUpCache, key: CatalogKey, hit: Hit) -> Report:
    return _report(dispatch, key, "HIT", outputs=hit.outputs, source=hit.source)


def _report(
    dispatch: LookUpCache, key: CatalogKey, status: str, **more: Any
) -> ReportCacheLookedUp:
    return ReportCacheLookedUp(
        node_id=dispatch.node_id,
        attempt=dispatch.attempt,
        status=status,
        key=key,
        **more,
    )
