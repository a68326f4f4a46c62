"""The catalog: cached outputs, and reservations to produce outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from domain.literals.cache_keys import dataset_name
from infra.coalesce import CoalescedCall
from infra.postgres.failures import outages_are_transient
from infra.postgres.pool import Pool, queries
from infra.setting_sections.executions import CacheSettings
from projections.columns import stored_key
from projections.positions import have_reached, stored_positions
from projections.queries.fetch import execute, fetch_one, fetch_values
from projections.sql_files import SQL_FILES
from schemas import topics
from schemas.ids import AttemptRef, CatalogKey
from schemas.values import Values

_SQL = queries(SQL_FILES / "catalog.sql")
_POLL_S = 0.005
_POLL_S_MAX = 0.2


class EventLog(Protocol):
    """What the catalog reads of the log."""

    async def end_positions(self, topics: Sequence[str] = ()) -> Mapping[int, int]:
        """Return the last position of each partition: of these topics, if any."""
        ...


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """Cached outputs, and the attempt that made them."""

    outputs: Values
    source: AttemptRef


async def count_cached(pool: Pool, project: str, domain: str, task: str) -> int:
    """Return for how many inputs the outputs of a task are cached."""
    key = (project, domain, dataset_name(task))
    return (await fetch_values(pool, int, _SQL["count"], key))[0]


@dataclass(slots=True)
class Catalog:
    """Reads what the projector wrote, and reserves.

    Every method raises TransientError while Postgres can't be reached.
    """

    pool: Pool
    log: EventLog
    settings: CacheSettings
    _catching_up: CoalescedCall[bool] = field(init=False)

    def __post_init__(self) -> None:
        """Let callers that wait for the projector at the same time share one wait."""
        self._catching_up = CoalescedCall(self._caught_up)

    async def find(self, key: CatalogKey) -> Hit | None:
        """Return the cached outputs of a key."""
        age_s = self.settings.max_age_s
        params = (*stored_key(key), age_s, age_s)
        with outages_are_transient():
            return await fetch_one(self.pool, Hit, _SQL["find"], params)

    async def caught_up(self) -> bool:
        """Wait until every event that is on the log now is applied; False if it isn't.

        That takes at most `settings.lag_timeout_s`.
        """
        return await self._catching_up.result()

    async def _caught_up(self) -> bool:
        end = await self.log.end_positions((topics.EVENTS,))
        loop, pause_s = asyncio.get_running_loop(), _POLL_S
        until_s = loop.time() + self.settings.lag_timeout_s
        while not have_reached(await self._positions(), end):
            if loop.time() >= until_s:
                return False
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _POLL_S_MAX)
        return True

    async def _positions(self) -> Mapping[int, int]:
        with outages_are_transient():
            async with self.pool.connection() as conn:
                return await stored_positions(conn)

    async def reserve(self, key: CatalogKey, owner: str) -> bool:
        """Reserve outputs for an owner for a while; False if another one has them."""
        params = (*stored_key(key), owner, self.settings.reservation_ttl_s)
        with outages_are_transient():
            found = await fetch_values(self.pool, str, _SQL["reserve"], params)
        return bool(found)

    async def extend(self, owners: Sequence[str]) -> None:
        """Keep the reservations of owners that are running from expiring."""
        with outages_are_transient():
            params = (self.settings.reservation_ttl_s, list(owners))
            await execute(self.pool, _SQL["extend"], params)

    async def release(self, key: CatalogKey, owner: str) -> None:
        """Delete a reservation, if it is this owner's."""
        with outages_are_transient():
            await execute(self.pool, _SQL["release"], (*stored_key(key), owner))
