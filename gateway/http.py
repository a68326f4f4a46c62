"""The HTTP door: REST by transcoding, blobs, logs of attempts, health, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from gateway.health import Health
from infra.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpParts:
    """What the HTTP door needs: servicers by full service name, blobs, signer, health.

    A servicer is the very object that gRPC serves: `async def Method(request, context)`.
    """

    servicers: Mapping[str, Any]
    blobs: Any
    signer: Any
    pool: Any
    clock: Any
    settings: Settings
    health: Health


def build_app(parts: HttpParts) -> FastAPI:
    """Return the application with all routes."""
    raise NotImplementedError
