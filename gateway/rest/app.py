"""The HTTP application: transcoded RPCs, blobs, logs of attempts, health, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import grpc
import psycopg
from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.rest import openapi
from gateway.rest.cors import LOOPBACK_ORIGIN, LocalOnly, is_loopback
from gateway.rest.local_call import Servicer, error_response
from gateway.rest.route_table import routes
from gateway.rest.routes.blobs import BlobRoutes
from gateway.rest.routes.deletion import DeletionRoutes
from gateway.rest.routes.health import health_routes
from gateway.rest.routes.redrive import RedriveRoutes
from gateway.rest.routes.task_logs import LogRoutes
from gateway.rest.transcoded_routes import TranscodingHandler
from gateway.services.errors import outage
from gateway.services.redrive import Redrive
from gateway.services.submit import Submit
from gateway.telemetry.exposition import new_registry
from gateway.telemetry.health import Health
from gateway.version import version
from infra.blobs.files import Blobs
from infra.blobs.signing import Signer
from infra.clock import Clock
from infra.errors import TransientError
from infra.postgres.pool import Pool
from infra.settings import Settings
from infra.telemetry.histograms import RequestMetrics

_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]
_CORS_HEADERS = ["Content-Type", "flyte-authorization"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpParts:
    """What the HTTP application needs.

    `servicers` are the same objects that gRPC serves, by full service name.
    """

    servicers: Mapping[str, Servicer]
    blobs: Blobs
    signer: Signer
    pool: Pool
    clock: Clock
    settings: Settings
    health: Health
    redrive: Redrive
    submit: Submit
    registry: CollectorRegistry = field(default_factory=new_registry)


def build_app(parts: HttpParts) -> FastAPI:
    """Return the application with all routes."""
    app = FastAPI(
        title="Flightlog", version=version(), docs_url=None, redoc_url=None,
        openapi_url=None,
    )  # fmt: skip
    app.router.routes.extend(health_routes(parts.health, parts.registry))
    app.include_router(_general_routes())
    blob_routes = BlobRoutes(
        blobs=parts.blobs,
        signer=parts.signer,
        clock=parts.clock,
        bytes_max=parts.settings.gateway.upload_bytes_max,
    )
    app.include_router(blob_routes.router())
    app.include_router(LogRoutes(parts.blobs, parts.pool).router())
    app.include_router(RedriveRoutes(parts.redrive).router())
    app.include_router(DeletionRoutes(parts.submit, parts.clock).router())
    transcoding = TranscodingHandler(
        servicers=parts.servicers,
        settings=parts.settings.gateway,
        metrics=RequestMetrics(parts.registry, "rest"),
    )
    app.add_route("/{path:path}", transcoding.handle, methods=_METHODS)
    app.add_middleware(
        CORSMiddleware,
        allow_origin_regex=LOOPBACK_ORIGIN,
        allow_methods=_METHODS,
        allow_headers=_CORS_HEADERS,
    )
    for kind in (TransientError, psycopg.Error):
        app.add_exception_handler(kind, _unavailable)
    app.add_exception_handler(Exception, _internal_error)
    if is_loopback(parts.settings.host):
        app.add_middleware(LocalOnly)
    return app


async def _unavailable(_request: Request, error: Exception) -> Response:
    """Answer for a route that met an outage, which has a line of its own in the log."""
    away = outage(error)
    if not away:
        raise error
    return error_response(grpc.StatusCode.UNAVAILABLE, away)


async def _internal_error(_request: Request, _error: Exception) -> Response:
    """Answer for a route that raised; the server's log has the traceback."""
    return error_response(grpc.StatusCode.INTERNAL, "The request failed")


def _general_routes() -> APIRouter:
    router = APIRouter()

    @router.get("/healthcheck")
    async def healthcheck() -> Response:
        """Answer 200 without a body while this process lives, as Flyte does."""
        return Response()

    @router.get("/openapi.json")
    @router.get("/api/v1/openapi")
    async def document() -> Response:
        """Describe the REST API."""
        return JSONResponse(_document())

    return router


@cache
def _document() -> openapi.Document:
    return openapi.describe(routes(), version())
