"""The gRPC server: services, health, reflection, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

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
from grpc_health.v1.health import aio as aio_health
from grpc_reflection.v1alpha import reflection

from gateway.rpc.admin.service import Admin
from gateway.rpc.dataproxy import DataProxy
from gateway.rpc.interceptor import Observe, RpcInterceptor, ignore_call
from gateway.rpc.signals import Signals
from gateway.services.container import Services
from infra.setting_sections.processes import GatewaySettings

ADMIN = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
DATA_PROXY = dataproxy_pb2.DESCRIPTOR.services_by_name["DataProxyService"].full_name
SIGNALS = signal_pb2.DESCRIPTOR.services_by_name["SignalService"].full_name
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
HEALTH_NAMES = ("", "flyteadmin")
_HEALTH_S = 0.5
# Idle flytekit channels ping each 30 s; a server with defaults answers with GOAWAY.
_PING_MS_MIN = 5_000
# flytekit accepts 32 KiB of headers, most other clients 8.
_METADATA_BYTES_MAX = 32 * 2**10

Servicer = Admin | DataProxy | Signals
_REGISTER: Mapping[str, Callable[[Servicer, grpc.aio.Server], None]] = {
    ADMIN: admin_pb2_grpc.add_AdminServiceServicer_to_server,
    DATA_PROXY: dataproxy_pb2_grpc.add_DataProxyServiceServicer_to_server,
    SIGNALS: signal_pb2_grpc.add_SignalServiceServicer_to_server,
}


def build_servicers(services: Services) -> Mapping[str, Servicer]:
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
        servicers: Mapping[str, Servicer],
        address: str,
        settings: GatewaySettings,
        observe: Observe = ignore_call,
    ) -> None:
        """Call `observe` after each call; raises RuntimeError if the address is taken.

        `servicers` go by full service name.
        """
        self._server = grpc.aio.server(
            interceptors=(RpcInterceptor(observe),),
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
        for name, servicer in servicers.items():
            _REGISTER[name](servicer, self._server)
        self._health = aio_health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*servicers, HEALTH, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self.port = self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Serve, and report so to health checks."""
        await self._server.start()
        await self._report(is_ready=True)

    async def follow(self, is_ready: Callable[[], bool]) -> None:
        """Report to health checks whether the engine is ready, until cancelled."""
        reported = True
        while True:
            await asyncio.sleep(_HEALTH_S)
            if is_ready() != reported:
                reported = not reported
                await self._report(is_ready=reported)

    async def _report(self, *, is_ready: bool) -> None:
        status = health_pb2.HealthCheckResponse
        for name in HEALTH_NAMES:
            await self._health.set(
                name, status.SERVING if is_ready else status.NOT_SERVING
            )

    async def stop(self, grace_s: float) -> None:
        """Accept no more calls; those in progress have `grace_s` to end."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
