"""A role as its process runs it, and what that process serves from its start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from gateway.bootstrap.roles.adapters import RoleAdapters
from gateway.rest.server import HttpServer
from gateway.telemetry.health import Health
from infra.telemetry.counters import ReadValues


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The health, metrics and HTTP server of a role's process.

    `link_base` is what links to this process begin with.
    """

    health: Health
    registry: CollectorRegistry
    http: HttpServer
    link_base: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A built role: `run` works until the event is set, then finishes its work.

    `grpc` is the address of its gRPC server, if it has one.
    """

    run: Callable[[asyncio.Event], Coroutine[None, None, None]]
    metrics: ReadValues
    grpc: str = ""


Build = Callable[[RoleAdapters, Served], AbstractAsyncContextManager[Worker]]
