"""Who launch plans and requests may ask to be told, by the settings."""

from __future__ import annotations

from domain.notifying.requests import Reachable
from infra.setting_sections.notifications import EmailSettings, NotifySettings


def reachable_channels(settings: NotifySettings) -> Reachable:
    """Return the channels that are set, and the domains to which mail may go."""
    return Reachable(
        channels=frozenset(
            name
            for name, one in settings.channel_settings.items()
            if not (isinstance(one, EmailSettings) and not one.to)
        ),
        mail_domains=frozenset(one.lower() for one in settings.recipient_domains),
    )
