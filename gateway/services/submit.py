"""Submitting a command: append it, and await the one outcome it ends in."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import grpc
import psycopg
import structlog

from gateway.services.errors import CODES, RpcError
from infra.errors import TransientError
from infra.eventlog.contract import Log, Record
from infra.postgres.pool import Pool
from projections.queries import executions
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.rejections import Reason
from schemas.wire import codec

log_ = structlog.get_logger(__name__)

Outcome = Sequence[Any]
"""Kind (done, rejected, no_effect), the first event's id, reason, detail."""

CHANNEL = "flightlog_outcomes"
WAITING_MAX = 10_000
LOOK_AGAIN_S = 1.0
"""News may get lost: whoever waits makes the table be read this often, for all."""
APPEND_PAUSES_S = (0.05, 0.2, 1.0)
LISTEN_PAUSE_S = 1.0
LISTEN_POLL_S = 30.0
_LOOK_MAX = 1_000


class Submit:
    """One future a command under way; who settles it first wins.

    The projector of the same process calls `settle` after its commit; a door of its
    own runs `listen`. Both may be missing: the table is read now and then.
    """

    def __init__(self, log: Log, pool: Pool, limit_s: float) -> None:
        """Wait at most `limit_s` for an outcome."""
        self._log = log
        self._pool = pool
        self._limit_s = limit_s
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}
        self._looked_at_s = 0.0

    @property
    def waiting(self) -> int:
        """Return how many commands await their outcome."""
        return len(self._waiting)

    def settle(self, command_id: str, outcome: Outcome) -> None:
        """Tell whoever waits what became of a command."""
        future = self._waiting.get(command_id)
        if future is not None and not future.done():
            future.set_result(outcome)

    async def __call__(
        self, stream: str, command: Any, *, actor: str, now_us: int
    ) -> str:
        """Submit a command; return the id of its first event ('' if it had none).

        Raises Refused: with the refusal's status, or DEADLINE_EXCEEDED once the
        command may stand but nothing is known of it yet. Never UNAVAILABLE then:
        clients would repeat it at once, and double what bears no name (ref §1.5).
        """
        if len(self._waiting) >= WAITING_MAX:
            raise RpcError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"Expected fewer than {WAITING_MAX} commands under way, but there are "
                "as many; nothing was done",
            )
        record = _record(stream, command, actor=actor, now_us=now_us)
        command_id = record.envelope.id
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._limit_s
        self._waiting[command_id] = loop.create_future()
        try:
            await self._append(record)
            outcome = await self._await(command_id, until_s)
        finally:
            del self._waiting[command_id]
        kind, event_id, reason, detail = outcome
        if kind == "rejected":
            raise RpcError(CODES[Reason(reason)], str(detail))
        return str(event_id)

    async def _append(self, record: Record) -> None:
        """Append; again if the answer was lost, as the log keeps an id once."""
        for pause_s in (*APPEND_PAUSES_S, None):
            try:
                await self._log.append([record])
            except TransientError as error:
                log_.warning("append_delayed", id=record.envelope.id, error=str(error))
                if pause_s is None:
                    raise RpcError(
                        grpc.StatusCode.DEADLINE_EXCEEDED,
                        "Expected to append the command, but the log is away; it is "
                        f"not known whether command {record.envelope.id} stands",
                    ) from error
                await asyncio.sleep(pause_s)
            else:
                return

    async def _await(self, command_id: str, until_s: float) -> Outcome:
        loop = asyncio.get_running_loop()
        future = self._waiting[command_id]
        while (left_s := until_s - loop.time()) > 0:
            await asyncio.wait([future], timeout=min(left_s, LOOK_AGAIN_S))
            if future.done():
                return future.result()
            if loop.time() >= self._looked_at_s + LOOK_AGAIN_S:
                self._looked_at_s = loop.time()
                await self._look([*self._waiting][:_LOOK_MAX])
        await self._look([command_id])
        if future.done():
            return future.result()
        raise RpcError(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"Expected an outcome within {self._limit_s:g} s, but there is none yet; "
            f"the command {command_id} stands and will be handled",
        )

    async def _look(self, command_ids: Sequence[str]) -> None:
        """Read what became of commands; a database that is away tells nothing."""
        try:
            found = await executions.outcomes(self._pool, command_ids)
        except psycopg.OperationalError as error:
            log_.warning("outcomes_not_read", error=str(error))
            return
        for command_id, outcome in found.items():
            self.settle(command_id, outcome)

    async def listen(self, url: str) -> None:
        """Hear of outcomes over one connection, for ever; for a door of its own."""
        while True:
            try:
                await self._listen(url)
            except psycopg.OperationalError as error:
                log_.warning("outcome_listener_delayed", error=str(error))
            await asyncio.sleep(LISTEN_PAUSE_S)

    async def _listen(self, url: str) -> None:
        conn = await psycopg.AsyncConnection.connect(url, autocommit=True)
        async with conn:
            await conn.execute(f"LISTEN {CHANNEL}")
            await self._look([*self._waiting][:_LOOK_MAX])
            while True:
                async for news in conn.notifies(timeout=LISTEN_POLL_S):
                    if news.payload in self._waiting:
                        await self._look([news.payload])


def _record(stream: str, command: Any, *, actor: str, now_us: int) -> Record:
    """Return a command on its way; its id is drawn here, once."""
    envelope = Envelope(
        id=f"{stream}/command/{secrets.token_hex(10)}",
        type=codec.type_name(command),
        stream=stream,
        actor=actor,
        recorded_at_us=now_us,
        reply=True,
    )
    return Record(
        topic=topics.COMMANDS, key=stream, envelope=envelope, body=codec.encode(command)
    )
