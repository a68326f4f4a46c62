"""Who launch plans and requests may ask to be told, by the settings."""

from __future__ import annotations

from domain.notifying.requests import Reachable
from infra.setting_sections.notifications import NotifySettings


def reachable_channels(settings: NotifySettings) -> Reachable:
    """Return the channels that are set, and the domains to which mail may go."""
    return Reachable(
        channels=frozenset(settings.channel_settings),
        mail_domains=frozenset(one.lower() for one in settings.recipient_domains),
    )
