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
    reachable: Reachable | None,
) -> str | None:
    """Return what is wrong with what somebody asks to be told of.

    Only its form is checked without `reachable`: of what was admitted before.
    """
    domains = frozenset[str]() if reachable is None else reachable.mail_domains
    wrong = mails.violation(notifications, domains)
    if wrong is None and NOTIFY in annotations:
        channels = None if reachable is None else reachable.channels
        wrong = annotation.violation(annotations[NOTIFY], channels)
    return wrong
