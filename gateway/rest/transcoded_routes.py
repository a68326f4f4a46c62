"""REST by transcoding: a request's route is an RPC, called in this process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import grpc
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.rest import json_codec
from gateway.rest.local_call import (
    CallError,
    RestContext,
    Servicer,
    call,
    error_response,
    metadata_of,
)
from gateway.rest.route_table import Match, OtherMethods, RouteTable, routes
from infra.setting_sections.processes import GatewaySettings
from infra.telemetry.histograms import RequestMetrics

MARGIN_S = 10.0
"""A call may await its command's outcome, and take this long besides."""


@dataclass(slots=True, kw_only=True)
class TranscodingHandler:
    """Serves every RPC of these servicers that has a REST route."""

    servicers: Mapping[str, Servicer]
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
            return error_response(grpc.StatusCode.NOT_FOUND, f"No such path: {path}")
        if isinstance(match, OtherMethods):
            return _not_allowed(request.method, match)
        started = time.monotonic()
        try:
            response = await self._serve(request, match)
            code = grpc.StatusCode.OK
        except CallError as error:
            response, code = error_response(error.code, error.details), error.code
        except json_codec.InvalidRequestError as error:
            code = grpc.StatusCode.INVALID_ARGUMENT
            response = error_response(code, str(error))
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
        """Return the body; one that is too long is not read to its end."""
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


def _not_allowed(method: str, others: OtherMethods) -> Response:
    allowed = ", ".join(others.allowed)
    response = error_response(
        grpc.StatusCode.UNIMPLEMENTED,
        f"Expected {allowed} here, but got {method}",
        HTTPStatus.METHOD_NOT_ALLOWED,
    )
    response.headers["allow"] = allowed
    return response
