"""Channels as the settings say, ready to send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from infra.clock import Clock
from infra.setting_sections.notifications import (
    EmailSettings,
    NotifySettings,
    PagerDutySettings,
    SlackSettings,
    WebhookSettings,
)
from infra.setting_sections.section import Section
from workers.notifier.channels.contract import Channel
from workers.notifier.channels.email import Email
from workers.notifier.channels.http import new_client
from workers.notifier.channels.pagerduty import PagerDuty
from workers.notifier.channels.slack import SlackWebhook
from workers.notifier.channels.webhook import Webhook


@asynccontextmanager
async def open_channels(
    settings: NotifySettings, clock: Clock
) -> AsyncIterator[Mapping[str, Channel]]:
    """Yield the channels by name."""
    async with new_client() as client:
        builder = _Builder(client, clock, settings.instance)
        yield {
            name: builder.channel(one)
            for name, one in settings.channel_settings.items()
        }


@dataclass(frozen=True, slots=True)
class _Builder:
    client: httpx.AsyncClient
    clock: Clock
    instance: str

    def channel(self, settings: Section) -> Channel:
        """Return the channel of a section."""
        match settings:
            case SlackSettings():
                return SlackWebhook(
                    client=self.client, clock=self.clock, url=settings.url
                )
            case PagerDutySettings():
                return PagerDuty(
                    client=self.client,
                    clock=self.clock,
                    routing_key=settings.routing_key,
                    url=settings.url,
                    instance=self.instance,
                )
            case WebhookSettings():
                secrets = settings.secret.get_secret_value().split()
                return Webhook(
                    client=self.client,
                    clock=self.clock,
                    url=settings.url,
                    secrets=[SecretStr(secret) for secret in secrets],
                    instance=self.instance,
                )
            case EmailSettings():
                return self._email(settings)
            case _:
                raise TypeError(type(settings).__name__)

    def _email(self, settings: EmailSettings) -> Channel:
        return Email(
            clock=self.clock,
            host=settings.host,
            port=settings.port,
            tls=settings.tls,
            sender=settings.sender,
            recipients=settings.to,
            username=settings.username,
            password=settings.password,
            instance=self.instance,
        )
