"""Held messages: a partition waits with what a newer version wrote, or is given up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import structlog

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import GivenUpError
from infra.newer_messages import NOTHING_NEWER, NewerMessage, NewerMessages
from infra.retry import retry_transient

log_ = structlog.get_logger(__name__)

CHECK_S = 5.0


@dataclass(slots=True, kw_only=True)
class HeldMessages:
    """The message that a reader of one partition waits with, if there is one.

    Only what the version gate lists is waited with: any other schema that isn't known
    was never one of Flightlog's.
    """

    newer: NewerMessages = NOTHING_NEWER
    clock: Clock = SYSTEM_CLOCK
    check_s: float = CHECK_S
    message: NewerMessage | None = None

    async def takes(self, fingerprint: str) -> bool:
        """Hold a message of this schema, if a newer version announced it."""
        self.message = await retry_transient(
            lambda: self.newer.find(fingerprint),
            "newer_message_delayed",
            clock=self.clock,
        )
        return self.message is not None

    async def give_up(self, topic: str, partition: int) -> None:
        """Raise GivenUpError if another process can read what is held here."""
        message = self.message
        if message is None:
            return
        name = f"{message.name}, of format level {message.level}"
        if await retry_transient(
            lambda: self.newer.has_reader(message),
            "newer_message_delayed",
            clock=self.clock,
        ):
            text = (
                f"Expected a message of this version on partition {partition} of "
                f"{topic}, but the next one is {name}; another process can read it"
            )
            raise GivenUpError(text)
        log_.warning(
            "partition_held",
            topic=topic,
            partition=partition,
            message=name,
            until="a newer version takes the partition over",
        )

    async def wait(self, topic: str, partition: int, stop: asyncio.Event) -> None:
        """Wait with what is held until `stop`.

        Raises GivenUpError once another process can read it.
        """
        while self.message is not None and not stop.is_set():
            await self.give_up(topic, partition)
            with suppress(TimeoutError):
                async with self.clock.timeout(self.check_s):
                    await stop.wait()
