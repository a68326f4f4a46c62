"""The gRPC server: services, health, reflection, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from flyteidl.service import (
    admin_pb2,
    admin_pb2_grpc,
    dataproxy_pb2,
    dataproxy_pb2_grpc,
    signal_pb2,
    signal_pb2_grpc,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from gateway.rpc.admin.service import Admin
from gateway.rpc.dataproxy import DataProxy
from gateway.rpc.interceptor import Around, Observe, nobody
from gateway.rpc.signals import Signals
from gateway.services.container import Services
from infra.setting_sections import GatewaySettings

ADMIN = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
DATA_PROXY = dataproxy_pb2.DESCRIPTOR.services_by_name["DataProxyService"].full_name
SIGNALS = signal_pb2.DESCRIPTOR.services_by_name["SignalService"].full_name
HEALTH_NAMES = ("", "flyteadmin")
# Idle flytekit channels ping each 30 s; a server with defaults answers with GOAWAY.
_PING_MS_MIN = 5_000
# flytekit takes 32 KiB of headers, most others 8.
_METADATA_BYTES_MAX = 32 * 2**10


def servicers(services: Services) -> dict[str, Any]:
    """Return the servicers by full service name."""
    return {
        ADMIN: Admin(services),
        DATA_PROXY: DataProxy(services),
        SIGNALS: Signals(services),
    }


class GrpcServer:
    """The server on one address, with its health."""

    def __init__(
        self,
        found: Mapping[str, Any],
        address: str,
        settings: GatewaySettings,
        observe: Observe = nobody,
    ) -> None:
        """Serve these servicers; raises RuntimeError if the address is taken."""
        self._server = grpc.aio.server(
            interceptors=(Around(observe),),
            maximum_concurrent_rpcs=settings.rpcs_max,
            options=[
                ("grpc.max_receive_message_length", settings.message_bytes_max),
                ("grpc.max_send_message_length", settings.message_bytes_max),
                ("grpc.max_metadata_size", _METADATA_BYTES_MAX),
                ("grpc.http2.min_ping_interval_without_data_ms", _PING_MS_MIN),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.so_reuseport", 0),
            ],
        )
        server = self._server
        admin_pb2_grpc.add_AdminServiceServicer_to_server(found[ADMIN], server)
        dataproxy_pb2_grpc.add_DataProxyServiceServicer_to_server(
            found[DATA_PROXY], server
        )
        signal_pb2_grpc.add_SignalServiceServicer_to_server(found[SIGNALS], server)
        self._health = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*found, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
        self.port = server.add_insecure_port(address)

    async def start(self) -> None:
        """Serve, and say so to whoever asks for health."""
        await self._server.start()
        for name in HEALTH_NAMES:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_s: float) -> None:
        """Take no more calls; those under way may take `grace_s`."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)


def build_server(
    services: Services,
    found: Mapping[str, Any],
    address: str,
    observe: Observe = nobody,
) -> GrpcServer:
    """Return the server of an engine; `observe` hears of every call."""
    return GrpcServer(found, address, services.settings.gateway, observe)
