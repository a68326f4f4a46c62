"""Builds the notifier of an embedded engine: a reader, a sender for each channel."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.bootstrap.adapters import Adapters
from infra.retry import run_endless
from infra.setting_sections.notifications import NotifySettings
from infra.telemetry import counters
from infra.telemetry.counters import Values
from workers.notifier.channel_checks import violations
from workers.notifier.open_channels import open_channels
from workers.notifier.policy import InvalidRuleError, policy
from workers.notifier.reader import Reader
from workers.notifier.sender import Limits, Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedNotifier:
    """Reads events and sends what is due, without Kafka."""

    reader: Reader
    senders: Mapping[str, Sender]

    async def run(self) -> None:
        """Read and send for ever."""
        async with asyncio.TaskGroup() as group:
            for sender in self.senders.values():
                group.create_task(run_endless(sender.run), name=f"notify-{sender.name}")
            await run_endless(self.reader.run)

    def values(self) -> Values:
        """Return the metrics."""
        senders = self.senders.values()
        return {
            counters.DELIVERIES_DUE: self.reader.due,
            counters.DELIVERIES_SENT: sum(sender.sent for sender in senders),
            counters.DELIVERIES_DEAD: sum(sender.dead for sender in senders),
        }


@asynccontextmanager
async def embedded_notifier(
    adapters: Adapters, base_url: str
) -> AsyncIterator[EmbeddedNotifier]:
    """Yield the notifier, with its channels open; raises InvalidRuleError."""
    settings = adapters.settings.notify
    if wrong := list(violations(settings)):
        raise InvalidRuleError("; ".join(wrong))
    rules = policy(settings)
    owner = f"embedded-{secrets.token_hex(4)}"
    async with open_channels(settings, adapters.clock) as channels:
        senders = {
            name: Sender(
                name=name,
                channel=channel,
                pool=adapters.pool,
                clock=adapters.clock,
                owner=owner,
                base_url=base_url,
                limits=_limits(settings),
            )
            for name, channel in channels.items()
        }

        def wake() -> None:
            for sender in senders.values():
                sender.wake()

        reader = Reader(
            log=adapters.log,
            pool=adapters.pool,
            policy=rules,
            clock=adapters.clock,
            batch_max=adapters.settings.log.events_max,
            max_age_s=settings.max_age_s,
            on_due=wake,
        )
        yield EmbeddedNotifier(reader=reader, senders=senders)


def _limits(settings: NotifySettings) -> Limits:
    return Limits(
        at_once=settings.sends_at_once,
        claim_s=settings.claim_s,
        give_up_s=settings.give_up_s,
        max_age_s=settings.max_age_s,
    )
