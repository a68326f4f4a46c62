"""How many executions of a launch plan may be under way at once (ref §2.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import grpc
from flyteidl.admin import launch_plan_pb2

from gateway.services.errors import RpcError
from infra.postgres.pool import Pool
from projections.queries import executions, registry
from schemas.ids import EntityRef

_SKIP = launch_plan_pb2.CONCURRENCY_LIMIT_BEHAVIOR_SKIP
KNOWN_MAX = 10_000

Name = tuple[str, str, str]
"""Project, domain and name: versions of a launch plan share its limit."""


@dataclass(frozen=True, slots=True)
class ConcurrencyLimits:
    """The limits of launch plans, which never change once registered.

    Where there is one, creations take turns: this door lets no two through for one
    place. (Doors of other processes don't know of each other's turns.)
    """

    _known: dict[EntityRef, int] = field(default_factory=dict)
    _turns: WeakValueDictionary[Name, asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )

    @asynccontextmanager
    async def place(self, pool: Pool, plan: EntityRef) -> AsyncIterator[None]:
        """Hold a place for one more execution; raises Refused if none is free."""
        limit = await self._limit(pool, plan)
        if not limit:
            yield
            return
        name = (plan.project, plan.domain, plan.name)
        turn = self._turns.setdefault(name, asyncio.Lock())
        async with turn:
            under_way = await executions.count_under_way(pool, *name)
            if under_way >= limit:
                raise RpcError(
                    grpc.StatusCode.ALREADY_EXISTS,
                    f"Expected less than {limit} executions of launch plan "
                    f"'{plan.name}' under way, but its concurrency limit is reached: "
                    "this one is skipped",
                )
            yield

    async def _limit(self, pool: Pool, plan: EntityRef) -> int:
        """Return the most executions at once, 0 for any number."""
        if plan.kind != "LAUNCH_PLAN":
            return 0
        if plan not in self._known:
            row = await registry.get_entity(pool, plan)
            if row is None:
                return 0
            spec = launch_plan_pb2.LaunchPlanSpec.FromString(bytes(row["spec"]))
            policy = spec.concurrency_policy
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[plan] = policy.max if policy.behavior == _SKIP else 0
        return self._known[plan]
