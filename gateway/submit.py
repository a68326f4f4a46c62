"""Submitting a command: append it, and await the one outcome it ends in."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import grpc

from gateway.errors import CODES, Refused
from infra.database import Pool
from infra.log import Log, Record
from projections.queries import outcome as read_outcome
from schemas import codec, topics
from schemas.envelope import Envelope
from schemas.rejections import Reason

_AGAIN_S = 1.0


class Submit:
    """One future a command under way; the projector settles it after its commit."""

    def __init__(self, log: Log, pool: Pool, limit_s: float) -> None:
        """Wait at most `limit_s` for an outcome."""
        self._log = log
        self._pool = pool
        self._limit_s = limit_s
        self._waiting: dict[str, asyncio.Future[Sequence[Any]]] = {}

    def settle(self, command_id: str, outcome: Sequence[Any]) -> None:
        """Tell whoever waits what became of a command."""
        future = self._waiting.get(command_id)
        if future is not None and not future.done():
            future.set_result(outcome)

    async def __call__(
        self, stream: str, command: Any, *, actor: str, now_us: int
    ) -> str:
        """Submit a command; return the id of its first fact ('' if it had none).

        Raises Refused: with the refusal's status, or DEADLINE_EXCEEDED once the
        command stands but nothing is known of it yet.
        """
        command_id = f"{stream}/command/{secrets.token_hex(10)}"
        envelope = Envelope(
            id=command_id,
            type=codec.type_name(command),
            stream=stream,
            actor=actor,
            recorded_at_us=now_us,
            reply=True,
        )
        record = Record(
            topic=topics.COMMANDS,
            key=stream,
            envelope=envelope,
            body=codec.encode(command),
        )
        future = asyncio.get_running_loop().create_future()
        self._waiting[command_id] = future
        try:
            await self._log.append([record])
            outcome = await self._await(command_id, future)
        finally:
            del self._waiting[command_id]
        kind, fact_id, reason, detail = outcome
        if kind == "rejected":
            raise Refused(CODES[Reason(reason)], str(detail))
        return str(fact_id)

    async def _await(
        self, command_id: str, future: asyncio.Future[Sequence[Any]]
    ) -> Sequence[Any]:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._limit_s
        while (left := until - loop.time()) > 0:
            await asyncio.wait([future], timeout=min(left, _AGAIN_S))
            if future.done():
                return future.result()
            found = await read_outcome(self._pool, command_id)
            if found is not None:
                return found
        raise Refused(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"Expected an outcome within {self._limit_s:g} s, but there is none yet; "
            f"the command {command_id} stands and will be handled",
        )
