"""What launch plans and requests may ask for; checked where it is given; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from flyteidl.admin import common_pb2

from domain.annotations import NOTIFY
from domain.notifying import annotation, mails


class Reachable(msgspec.Struct, frozen=True, kw_only=True):
    """The channels that are set, and the domains to which mail may go; () for any."""

    channels: frozenset[str] = frozenset()
    mail_domains: frozenset[str] = frozenset()


NOTHING_SET = Reachable()


def violation(
    notifications: Iterable[common_pb2.Notification],
    annotations: Mapping[str, str],
    reachable: Reachable,
) -> str | None:
    """Return what is wrong with what somebody asks to be told of."""
    wrong = mails.violation(notifications, reachable.mail_domains)
    if wrong is None and NOTIFY in annotations:
        asked = annotations[NOTIFY]
        wrong = annotation.violation(asked, reachable.channels)
    return wrong
