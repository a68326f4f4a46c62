"""Health and metrics over HTTP: of an engine, or of one role."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.responses import JSONResponse, Response

from gateway.telemetry.health import Health


def health_router(health: Health, registry: CollectorRegistry) -> APIRouter:
    """Return the routes `/healthz` and `/metrics`."""
    routes = APIRouter()

    @routes.get("/healthz")
    async def healthz() -> Response:
        """Answer 200 once every part is ready."""
        body = {"ready": health.ready, "waiting_for": health.missing}
        return JSONResponse(body, status_code=200 if health.ready else 503)

    @routes.get("/metrics")
    async def metrics() -> Response:
        """Expose the metrics to Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return routes


def health_app(health: Health, registry: CollectorRegistry) -> FastAPI:
    """Return an application with these routes only, for roles besides the gateway."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health_router(health, registry))
    return app
