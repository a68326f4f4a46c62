"""Health and metrics over HTTP: of an engine, or of one role."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.telemetry.health import Health
from infra.outages import Outage
from schemas.json_types import JsonObject

_US = 1_000_000


def health_routes(health: Health, registry: CollectorRegistry) -> Sequence[Route]:
    """Return the routes `/livez`, `/readyz`, `/healthz` and `/metrics`.

    They need no FastAPI, whose import is a good part of the start of a role.
    """

    async def livez(_request: Request) -> Response:
        """Answer 200 while this process works, whatever it has to wait for."""
        return JSONResponse({"alive": True})

    async def healthz(_request: Request) -> Response:
        """Answer 200 once every part is ready, 503 while what they need is away."""
        return JSONResponse(_body(health), status_code=200 if health.ready else 503)

    async def metrics(_request: Request) -> Response:
        """Expose the metrics to Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return (
        Route("/livez", livez),
        Route("/readyz", healthz),
        Route("/healthz", healthz),
        Route("/metrics", metrics),
    )


def _body(health: Health) -> JsonObject:
    return {
        "ready": health.ready,
        "reason": health.reason,
        "waiting_for": [*health.missing],
        "away": [_away(outage) for outage in health.outages.away],
    }


def _away(outage: Outage) -> JsonObject:
    since = datetime.fromtimestamp(outage.since_us / _US, UTC)
    return {
        "what": str(outage.what),
        "since": since.isoformat(timespec="milliseconds"),
        "why": outage.why,
    }


def health_app(health: Health, registry: CollectorRegistry) -> Starlette:
    """Return an application with these routes only, for roles besides the gateway."""
    return Starlette(routes=health_routes(health, registry))
