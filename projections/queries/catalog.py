"""The catalog: outputs kept for reuse, and who may make them alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from domain.literals.cache_keys import dataset_name
from infra.coalesce import CoalescedCall
from infra.errors import TransientError
from infra.postgres.pool import Pool, queries
from infra.setting_sections import CacheSettings
from projections.positions import have_reached, stored_positions
from projections.queries.page import fetch_one
from projections.rows import unpack
from projections.sql_files import SQL_FILES
from projections.views.catalog import columns_of
from schemas import topics
from schemas.ids import AttemptRef, CatalogKey
from schemas.values import Values

_SQL = queries(SQL_FILES / "catalog.sql")
_LOOK_S = 0.005
_LOOK_S_MAX = 0.2
_T = TypeVar("_T")


class EventLog(Protocol):
    """What the catalog asks of the log."""

    async def end_positions(self, topics: Sequence[str] = ()) -> Mapping[int, int]:
        """Return the last position of each partition: of these topics, if any."""
        ...


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """Outputs that are kept, and the attempt that made them."""

    outputs: Values
    source: AttemptRef


async def count_kept(pool: Pool, project: str, domain: str, task: str) -> int:
    """Return for how many inputs the outputs of a task are kept."""
    row = await fetch_one(pool, _SQL["count"], (project, domain, dataset_name(task)))
    return int(row["rows"]) if row else 0


@dataclass(slots=True)
class Catalog:
    """Reads what the projector wrote; every method raises Transient while it's away."""

    pool: Pool
    log: EventLog
    settings: CacheSettings
    _catching_up: CoalescedCall[bool] = field(init=False)

    def __post_init__(self) -> None:
        """Let all who wait for the views at a time share one wait."""
        self._catching_up = CoalescedCall(self._caught_up)

    async def find(self, key: CatalogKey) -> Hit | None:
        """Return the outputs of a key, if they are kept."""
        age_s = self.settings.max_age_s
        values = (*columns_of(key), age_s, age_s)
        row = await _heard(fetch_one(self.pool, _SQL["find"], values))
        if row is None:
            return None
        return Hit(
            outputs=unpack(row["outputs"], Values),
            source=unpack(row["source"], AttemptRef),
        )

    async def caught_up(self) -> bool:
        """Wait until the views hold every event of now; False if it takes too long."""
        return await self._catching_up.result()

    async def _caught_up(self) -> bool:
        end = await self.log.end_positions((topics.EVENTS,))
        loop, pause_s = asyncio.get_running_loop(), _LOOK_S
        until_s = loop.time() + self.settings.lag_timeout_s
        while True:
            if have_reached(await _heard(self._positions()), end):
                return True
            if loop.time() >= until_s:
                return False
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LOOK_S_MAX)

    async def _positions(self) -> Mapping[int, int]:
        async with self.pool.connection() as conn:
            return await stored_positions(conn)

    async def reserve(self, key: CatalogKey, owner: str) -> bool:
        """Let an owner make outputs alone for a while; False if another does."""
        values = (*columns_of(key), owner, self.settings.reservation_ttl_s)
        return await _heard(fetch_one(self.pool, _SQL["reserve"], values)) is not None

    async def extend(self, owners: Sequence[str]) -> None:
        """Keep reservations from expiring, as their owners are at work."""
        await _heard(
            self._execute("extend", (self.settings.reservation_ttl_s, list(owners)))
        )

    async def release(self, key: CatalogKey, owner: str) -> None:
        """Let others make the outputs; one that isn't the owner's stays."""
        await _heard(self._execute("release", (*columns_of(key), owner)))

    async def _execute(self, name: str, values: Sequence[Any]) -> None:
        async with self.pool.connection() as conn:
            await conn.execute(_SQL[name], values)


async def _heard(answer: Awaitable[_T]) -> _T:
    try:
        return await answer
    except (OperationalError, PoolTimeout) as error:
        message = f"Expected the catalog to answer, but: {error}"
        raise TransientError(message) from error
