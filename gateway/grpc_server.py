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
)
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from gateway.admin.service import Admin
from gateway.dataproxy import DataProxy
from gateway.services import Services

ADMIN = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
DATA_PROXY = dataproxy_pb2.DESCRIPTOR.services_by_name["DataProxyService"].full_name
HEALTH_NAMES = ("", "flyteadmin")
# Idle flytekit channels ping each 30 s; a server with defaults answers with GOAWAY.
_PING_MS_MIN = 5_000


def servicers(services: Services) -> dict[str, Any]:
    """Return the servicers by full service name."""
    return {ADMIN: Admin(services), DATA_PROXY: DataProxy(services)}


def build_server(
    found: Mapping[str, Any], *, message_bytes_max: int
) -> tuple[grpc.aio.Server, health_aio.HealthServicer]:
    """Return a server that serves these servicers, and its health."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", message_bytes_max),
            ("grpc.max_send_message_length", message_bytes_max),
            ("grpc.http2.min_ping_interval_without_data_ms", _PING_MS_MIN),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.so_reuseport", 0),
        ]
    )
    admin_pb2_grpc.add_AdminServiceServicer_to_server(found[ADMIN], server)
    dataproxy_pb2_grpc.add_DataProxyServiceServicer_to_server(found[DATA_PROXY], server)
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    names = (*found, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
    reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
    return server, health


async def serve(health: health_aio.HealthServicer) -> None:
    """Tell that the server serves."""
    for name in HEALTH_NAMES:
        await health.set(name, health_pb2.HealthCheckResponse.SERVING)
