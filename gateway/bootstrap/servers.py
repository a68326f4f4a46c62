"""The servers of one engine: gRPC and HTTP over the same servicers."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from gateway.bootstrap.ports import PortInUseError, port_in_use
from gateway.rest.app import HttpParts, build_app
from gateway.rpc.server import GrpcServer, Servicer, build_servicers
from gateway.services.container import Services
from gateway.telemetry.health import Health
from infra.addresses import authority
from infra.telemetry.histograms import RequestMetrics


def build(
    services: Services, health: Health, registry: CollectorRegistry
) -> tuple[ASGIApp, GrpcServer]:
    """Return the HTTP application and the gRPC server; raises PortInUseError."""
    servicers = build_servicers(services)
    app = build_app(
        HttpParts(
            servicers=servicers,
            blobs=services.blobs,
            signer=services.signer,
            pool=services.pool,
            clock=services.clock,
            settings=services.settings,
            health=health,
            redrive=services.redrive,
            submit=services.submit,
            registry=registry,
        )
    )
    return app, _grpc(services, servicers, registry)


def _grpc(
    services: Services, servicers: Mapping[str, Servicer], registry: CollectorRegistry
) -> GrpcServer:
    host, port = services.settings.host, services.settings.grpc_port
    where = authority(host, port)
    observe = RequestMetrics(registry, "grpc").observe
    try:
        return GrpcServer(servicers, where, services.settings.gateway, observe)
    except RuntimeError as error:
        raise PortInUseError(port_in_use(host, port)) from error
