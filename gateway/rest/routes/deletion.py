"""Deletion of executions over HTTP: flyteidl has no RPC for it."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from gateway.rest.local_call import error_response
from gateway.services.errors import RpcError
from gateway.services.submit import Submit
from infra.clock import Clock
from schemas.ids import ExecutionRef, execution_stream
from schemas.messages.commands import DeleteExecution

PATH = "/flightlog/executions"


@dataclass(frozen=True, slots=True)
class DeletionRoutes:
    """Takes requests to delete executions."""

    submit: Submit
    clock: Clock

    def router(self) -> APIRouter:
        """Return the route."""
        router = APIRouter(tags=["executions"])
        path = f"{PATH}/{{project}}/{{domain}}/{{name}}"
        router.add_api_route(path, self.delete, methods=["DELETE"], response_model=None)
        return router

    async def delete(
        self, project: str, domain: str, name: str, principal: str = ""
    ) -> Response:
        """Delete an execution that has ended; its blobs are deleted soon after."""
        ref = ExecutionRef(project=project, domain=domain, name=name)
        try:
            event = await self.submit(
                execution_stream(ref),
                DeleteExecution(principal=principal),
                actor=principal,
                now_us=self.clock.now_us(),
            )
        except RpcError as error:
            return error_response(error.code, error.detail)
        return JSONResponse({"execution": ref.text(), "deleted": bool(event)})
