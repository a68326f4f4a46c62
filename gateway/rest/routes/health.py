"""Health and metrics over HTTP: of an engine, or of one role."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.responses import JSONResponse, Response

from gateway.telemetry.health import Health
from infra.outages import Outage
from schemas.json_types import JsonObject

_US = 1_000_000


def health_router(health: Health, registry: CollectorRegistry) -> APIRouter:
    """Return the routes `/livez`, `/readyz`, `/healthz` and `/metrics`."""
    routes = APIRouter()

    @routes.get("/livez")
    async def livez() -> Response:
        """Answer 200 while this process works, whatever it has to wait for."""
        return JSONResponse({"alive": True})

    @routes.get("/readyz")
    @routes.get("/healthz")
    async def healthz() -> Response:
        """Answer 200 once every part is ready, 503 while what they need is away."""
        return JSONResponse(_body(health), status_code=200 if health.ready else 503)

    @routes.get("/metrics")
    async def metrics() -> Response:
        """Expose the metrics to Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return routes


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


def health_app(health: Health, registry: CollectorRegistry) -> FastAPI:
    """Return an application with these routes only, for roles besides the gateway."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health_router(health, registry))
    return app
