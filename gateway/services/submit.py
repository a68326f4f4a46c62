"""Submitting commands: each is appended, and its one outcome awaited."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

import grpc
import psycopg
import structlog

from gateway.services.errors import CODES, RpcError
from infra.errors import TransientError
from infra.eventlog.contract import Log, Record
from infra.outages import log_failure
from infra.postgres.failures import outages_are_transient
from infra.postgres.pool import Pool
from projections.queries import executions
from projections.rows import Outcome
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.commands import Command
from schemas.messages.rejections import Reason
from schemas.wire import codec

log_ = structlog.get_logger(__name__)

CHANNEL = "flightlog_outcomes"
IN_FLIGHT_MAX = 10_000
POLL_INTERVAL_S = 1.0
"""Notifications may get lost: the table is read this often, for all that wait."""
APPEND_PAUSES_S = (0.05, 0.2, 1.0)
RECONNECT_PAUSE_S = 1.0
LISTEN_TIMEOUT_S = 30.0
_POLLED_MAX = 1_000


class Submit:
    """One future for each command in flight, settled by the first who knows.

    A projector in the same process calls `settle` after its commit; a gateway process
    of its own runs `listen`. Neither is needed: the outcomes are polled as well.
    """

    def __init__(self, log: Log, pool: Pool, timeout_s: float) -> None:
        """Wait at most `timeout_s` for each outcome."""
        self._log = log
        self._pool = pool
        self._timeout_s = timeout_s
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}
        self._polled_at_s = 0.0

    @property
    def in_flight(self) -> int:
        """Return how many commands await their outcome."""
        return len(self._waiting)

    def settle(self, outcome: Outcome) -> None:
        """Give a waiting call its outcome; commands of others are ignored."""
        future = self._waiting.get(outcome.command_id)
        if future is not None and not future.done():
            future.set_result(outcome)

    async def __call__(
        self, stream: str, command: Command, *, actor: str, now_us: int
    ) -> str:
        """Submit a command; return the id of its first event ('' if it had none).

        Raises RpcError with the status of the rejection; or DEADLINE_EXCEEDED if the
        command may have been accepted but has no outcome yet. Never UNAVAILABLE then:
        clients would retry at once, and so create unnamed executions twice (ref §1.5).
        """
        if len(self._waiting) >= IN_FLIGHT_MAX:
            raise RpcError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"Too many commands in flight (limit {IN_FLIGHT_MAX}). The command was "
                "not submitted; retry later.",
            )
        record = _record(stream, command, actor=actor, now_us=now_us)
        command_id = record.envelope.id
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._timeout_s
        self._waiting[command_id] = loop.create_future()
        try:
            await self._append(record)
            outcome = await self._await(command_id, deadline_s)
        finally:
            del self._waiting[command_id]
        if outcome.kind == "rejected":
            raise RpcError(_code(outcome.reason), outcome.detail)
        return outcome.event_id

    async def _append(self, record: Record) -> None:
        """Append; retried with the same id, which the log stores once."""
        for pause_s in (*APPEND_PAUSES_S, None):
            try:
                await self._log.append([record])
            except TransientError as error:
                log_failure("append_delayed", error, id=record.envelope.id)
                if pause_s is None:
                    raise RpcError(
                        grpc.StatusCode.DEADLINE_EXCEEDED,
                        "Cannot reach the event log. It is unknown whether command "
                        f"{record.envelope.id} was accepted.",
                    ) from error
                await asyncio.sleep(pause_s)
            else:
                return

    async def _await(self, command_id: str, deadline_s: float) -> Outcome:
        loop = asyncio.get_running_loop()
        future = self._waiting[command_id]
        while (left_s := deadline_s - loop.time()) > 0:
            await asyncio.wait([future], timeout=min(left_s, POLL_INTERVAL_S))
            if future.done():
                return future.result()
            if loop.time() >= self._polled_at_s + POLL_INTERVAL_S:
                self._polled_at_s = loop.time()
                await self._poll([*self._waiting][:_POLLED_MAX])
        await self._poll([command_id])
        if future.done():
            return future.result()
        raise RpcError(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"Timed out after {self._timeout_s:g} s. Command {command_id} was accepted "
            "and will be processed; do not resubmit it.",
        )

    async def _poll(self, command_ids: Sequence[str]) -> None:
        """Settle the commands whose outcomes are in Postgres, if it can be reached."""
        try:
            with outages_are_transient():
                outcomes = await executions.get_outcomes(self._pool, command_ids)
        except TransientError as error:
            log_failure("outcomes_not_read", error)
            return
        except Exception:
            log_.exception("outcomes_not_read", commands=len(command_ids))
            await self._poll_one_by_one(command_ids)
            return
        for outcome in outcomes:
            self.settle(outcome)

    async def _poll_one_by_one(self, command_ids: Sequence[str]) -> None:
        """Find the outcome that can't be read: it costs only who waits for it."""
        if len(command_ids) > 1:
            for command_id in command_ids:
                await self._poll([command_id])
            return
        for command_id in command_ids:
            future = self._waiting.get(command_id)
            if future is not None and not future.done():
                detail = f"The outcome of command {command_id} can't be read."
                future.set_exception(RpcError(grpc.StatusCode.INTERNAL, detail))

    async def listen(self, url: str) -> None:
        """Settle commands as Postgres notifies of their outcomes, until cancelled."""
        while True:
            try:
                with outages_are_transient():
                    await self._listen(url)
            except TransientError as error:
                log_failure("outcome_listener_delayed", error)
            except psycopg.Error as error:
                log_.warning("outcome_listener_delayed", error=str(error))
            await asyncio.sleep(RECONNECT_PAUSE_S)

    async def _listen(self, url: str) -> None:
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            await self._poll([*self._waiting][:_POLLED_MAX])
            while True:
                async for notification in connection.notifies(timeout=LISTEN_TIMEOUT_S):
                    if notification.payload in self._waiting:
                        await self._poll([notification.payload])


def _code(reason: str) -> grpc.StatusCode:
    """Return the status of a rejection; a newer version may know more reasons."""
    try:
        return CODES[Reason(reason)]
    except ValueError:
        return grpc.StatusCode.FAILED_PRECONDITION


def _record(stream: str, command: Command, *, actor: str, now_us: int) -> Record:
    """Return a command's record; its id is drawn here, once."""
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
