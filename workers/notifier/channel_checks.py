"""What is wrong with channels' settings, said at the start and not at night."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from infra.setting_sections.notifications import (
    EmailSettings,
    NotifySettings,
    PagerDutySettings,
    SlackSettings,
    WebhookSettings,
)
from infra.setting_sections.section import Section
from workers.notifier.channels.webhook import SECRET_PREFIX

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,63}")
_KEY_LENGTH = 32
_SECRET_BYTES = range(24, 65)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def violations(settings: NotifySettings) -> Iterator[str]:
    """Yield what is wrong with each channel; secrets aren't repeated."""
    for name, one in settings.channel_settings.items():
        if not _NAME.fullmatch(name):
            yield f"channel '{name[:80]}': Expected a name of letters, digits and ._-"
        for wrong in _violations(one):
            yield f"channel '{name}': {wrong}"


def _violations(settings: Section) -> Iterator[str]:
    match settings:
        case SlackSettings():
            yield from _url_violations("url", settings.url.get_secret_value())
        case WebhookSettings():
            yield from _url_violations("url", settings.url.get_secret_value())
            yield from _secret_violations(settings.secret.get_secret_value())
        case PagerDutySettings():
            yield from _url_violations("url", settings.url)
            length = len(settings.routing_key.get_secret_value())
            if length != _KEY_LENGTH:
                yield (
                    f"Expected a routing_key of {_KEY_LENGTH} characters, but it has "
                    f"{length}"
                )
        case EmailSettings():
            yield from _email_violations(settings)


def _email_violations(settings: EmailSettings) -> Iterator[str]:
    has_password = bool(settings.password.get_secret_value())
    if not settings.host:
        yield "Expected a host, but it has none"
    if "@" not in settings.sender:
        yield f"Expected a sender like me@example.com, but got '{settings.sender}'"
    if settings.tls == "none" and settings.host not in _LOOPBACK and has_password:
        yield "Expected TLS, since a password is sent; tls is none"
    if bool(settings.username) != has_password:
        yield "Expected a username with a password, or neither"


def _url_violations(name: str, url: str) -> Iterator[str]:
    """Yield what is wrong with a URL, which may be a secret."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host, parts = None, urlsplit("")
    if host is None or parts.scheme not in ("http", "https"):
        yield f"Expected {name} to be like https://host/path"
    elif parts.scheme == "http" and host not in _LOOPBACK:
        yield f"Expected {name} to begin with https://, but it isn't encrypted"


def _secret_violations(secrets: str) -> Iterator[str]:
    for secret in secrets.split():
        try:
            key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if not secret.startswith(SECRET_PREFIX) or len(key) not in _SECRET_BYTES:
            yield (
                f"Expected a secret like {SECRET_PREFIX}… with the base64 of 24 to 64 "
                "bytes, but it isn't"
            )
