"""Who launch plans and requests may ask to be told, by the settings."""

from __future__ import annotations

from domain.notifying.requests import Reachable
from infra.setting_sections.notifications import NotifySettings


def reachable_channels(settings: NotifySettings) -> Reachable:
    """Return the channels that may be named, and the domains to which mail may go."""
    return Reachable(
        channels=frozenset(settings.named_channels),
        mail_domains=settings.mail_domains,
    )
