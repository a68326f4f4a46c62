"""Redriving over HTTP: for commands beside a running engine, which alone may append."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.services.redrive import PATH, Asked, Redrive


@dataclass(frozen=True, slots=True)
class RedriveRoutes:
    """Takes requests to put dead letters back."""

    redrive: Redrive

    def router(self) -> APIRouter:
        """Return the route."""
        router = APIRouter(tags=["dead letters"])
        router.add_api_route(PATH, self.post, methods=["POST"], response_model=None)
        return router

    async def post(self, request: Request) -> Response:
        """Put letters back, and tell what became of them."""
        try:
            asked = msgspec.json.decode(await request.body(), type=Asked)
        except msgspec.DecodeError as error:
            words = f"Expected streams and letters as JSON, but: {error}"
            return JSONResponse({"message": words}, status_code=HTTPStatus.BAD_REQUEST)
        return JSONResponse(dict(await self.redrive(asked)))
