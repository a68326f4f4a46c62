"""REST: one handler that finds the route, calls the servicer, writes the reply."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.rest import json_codec
from gateway.rest.local_call import (
    CallError,
    RestContext,
    call,
    error_body,
    metadata_of,
)
from gateway.rest.route_table import Match, OtherMethods, RouteTable, routes
from infra.setting_sections import GatewaySettings
from infra.telemetry.histograms import RequestMetrics

MARGIN_S = 10.0
"""A call may wait for its outcome, and this long for all else."""


@dataclass(slots=True, kw_only=True)
class Rest:
    """Serves every RPC of these servicers that has a REST route."""

    servicers: Mapping[str, Any]
    settings: GatewaySettings
    metrics: RequestMetrics
    table: RouteTable = field(default_factory=lambda: RouteTable(routes()))

    async def handle(self, request: Request) -> Response:
        """Answer one request; never raises."""
        raw_path = request.scope.get("raw_path") or request.url.path.encode()
        path = raw_path.decode("latin-1").partition("?")[0]
        http_method = "GET" if request.method == "HEAD" else request.method
        match = self.table.find(http_method, path)
        if match is None:
            return _failure(grpc.StatusCode.NOT_FOUND, f"No such path: {path}")
        if isinstance(match, OtherMethods):
            return _not_allowed(request.method, match)
        started = time.monotonic()
        try:
            response = await self._serve(request, match)
            code = grpc.StatusCode.OK
        except CallError as error:
            response, code = _failure(error.code, error.details), error.code
        except json_codec.InvalidRequestError as error:
            code = grpc.StatusCode.INVALID_ARGUMENT
            response = _failure(code, str(error))
        self.metrics.observe(match.route.rpc, code.name, time.monotonic() - started)
        return response

    async def _serve(self, request: Request, match: Match) -> Response:
        route = match.route
        servicer = self.servicers.get(route.service)
        if servicer is None:
            raise CallError(
                grpc.StatusCode.UNIMPLEMENTED, f"unknown service {route.service}"
            )
        inbound, outbound = json_codec.forms(
            request.headers.get("accept", ""), request.headers.get("content-type", "")
        )
        body = await self._body(request) if route.body else b""
        query = request.query_params.multi_items()
        message = json_codec.read_request(match, query, body, inbound)
        client = request.client
        context = RestContext(
            metadata_of(request.headers),
            f"http:{client.host}:{client.port}" if client else "http:",
        )
        timeout_s = self.settings.command_timeout_s + MARGIN_S
        reply = await call(servicer, route.rpc, message, context, timeout_s)
        content, media_type = json_codec.write_reply(reply, outbound)
        return Response(content, media_type=media_type)

    async def _body(self, request: Request) -> bytes:
        """Return the body; one that is too long is refused before it is read whole."""
        limit = self.settings.message_bytes_max
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise CallError(
                        grpc.StatusCode.RESOURCE_EXHAUSTED,
                        f"Expected a body of at most {limit} bytes, but it has more",
                    )
        except ClientDisconnect as error:
            raise CallError(
                grpc.StatusCode.CANCELLED, "The client went away"
            ) from error
        return bytes(body)


def _failure(code: grpc.StatusCode, details: str) -> Response:
    status, body = error_body(code, details)
    return Response(body, status_code=status, media_type="application/json")


def _not_allowed(method: str, others: OtherMethods) -> Response:
    allowed = ", ".join(others.allowed)
    _, body = error_body(
        grpc.StatusCode.UNIMPLEMENTED, f"Expected {allowed} here, but got {method}"
    )
    return Response(
        body,
        status_code=405,
        media_type="application/json",
        headers={"allow": allowed},
    )
