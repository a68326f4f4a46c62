"""Concurrency limits of launch plans: how many executions may run (ref §2.3)."""

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

KNOWN_MAX = 10_000
_SKIP = launch_plan_pb2.CONCURRENCY_LIMIT_BEHAVIOR_SKIP

Name = tuple[str, str, str]
"""Project, domain and name: versions of a launch plan share its limit."""


@dataclass(frozen=True, slots=True)
class ConcurrencyLimits:
    """The limits of launch plans, which never change once registered.

    Executions of a launch plan with a limit are created one after the other, so that
    no two of this process take the last slot. (Other gateways have locks of their own.)
    """

    _limits: dict[EntityRef, int | None] = field(default_factory=dict)
    _locks: WeakValueDictionary[Name, asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )

    @asynccontextmanager
    async def slot(self, pool: Pool, plan: EntityRef) -> AsyncIterator[None]:
        """Hold a slot for one more execution; raises RpcError if all are taken."""
        limit = await self._limit(pool, plan)
        if limit is None:
            yield
            return
        name = (plan.project, plan.domain, plan.name)
        async with self._locks.setdefault(name, asyncio.Lock()):
            running = await executions.count_active(pool, *name)
            if running >= limit:
                raise RpcError(
                    grpc.StatusCode.ALREADY_EXISTS,
                    f"Concurrency limit of launch plan '{plan.name}' reached "
                    f"({running} of {limit} running). No execution was created.",
                )
            yield

    async def _limit(self, pool: Pool, plan: EntityRef) -> int | None:
        """Return the most executions at once; None if there is no limit."""
        if plan.kind != "LAUNCH_PLAN":
            return None
        if plan not in self._limits:
            row = await registry.get_version(pool, registry.LAUNCH_PLANS, plan)
            if row is None:
                return None
            spec = launch_plan_pb2.LaunchPlanSpec.FromString(row.spec)
            policy = spec.concurrency_policy
            if len(self._limits) >= KNOWN_MAX:
                self._limits.clear()
            limited = policy.behavior == _SKIP and policy.max
            self._limits[plan] = policy.max if limited else None
        return self._limits[plan]
