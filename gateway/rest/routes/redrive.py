"""Redriving over HTTP, for the command line: only a running engine may append."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.services.redrive import PATH, Redrive, RedriveBody


@dataclass(frozen=True, slots=True)
class RedriveRoutes:
    """Takes requests to redrive dead letters."""

    redrive: Redrive

    def router(self) -> APIRouter:
        """Return the route."""
        router = APIRouter(tags=["dead letters"])
        router.add_api_route(PATH, self.post, methods=["POST"], response_model=None)
        return router

    async def post(self, request: Request) -> Response:
        """Redrive dead letters, and return what became of them."""
        try:
            body = msgspec.json.decode(await request.body(), type=RedriveBody)
        except msgspec.DecodeError as error:
            text = f"Expected streams and dead letters as JSON, but: {error}"
            return JSONResponse({"message": text}, status_code=HTTPStatus.BAD_REQUEST)
        return JSONResponse(dict(await self.redrive(body)))
