"""The annotation by which a launch plan or a request asks to be told; pure.

`flightlog.org/notify: "oncall on failed, timed_out; team late 30m"`: channels by name,
so that any Flyte client reaches them.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from domain.annotations import DURATION_US_MAX, NOTIFY, duration_us
from schemas.phases import TERMINAL_EXECUTION, ExecutionPhase

SUBSCRIPTIONS_MAX = 20
_FORM = "'CHANNEL on PHASE, …; CHANNEL late DURATION'"
_ITEM = re.compile(r"(?P<channel>[A-Za-z0-9_.-]+)\s+(?P<verb>on|late)\s+(?P<what>.+)")


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A channel that is told of ends in some phases, or of a run that takes longer."""

    channel: str
    phases: tuple[ExecutionPhase, ...] = ()
    late_us: int | None = None


def subscriptions(text: str) -> tuple[Subscription, ...] | str:
    """Return what an annotation asks for, or what is wrong with it."""
    found: list[Subscription] = []
    for part in filter(None, map(str.strip, text.split(";"))):
        one = _subscription(part)
        if isinstance(one, str):
            return one
        found.append(one)
    if len(found) > SUBSCRIPTIONS_MAX:
        return f"Expected at most {SUBSCRIPTIONS_MAX} parts of {NOTIFY}, but got more"
    return tuple(found)


def violation(text: str, channels: Collection[str] | None) -> str | None:
    """Return what is wrong with an annotation; None for `channels`: any are set."""
    found = subscriptions(text)
    if isinstance(found, str):
        return found
    if not found:
        return f"Expected {NOTIFY} to be {_FORM}, but it is empty"
    for one in found:
        if channels is not None and one.channel not in channels:
            known = ", ".join(sorted(channels)) or "none"
            return (
                f"Expected {NOTIFY} to name a channel that is set ({known}), but got "
                f"'{one.channel}'"
            )
    return None


def _subscription(part: str) -> Subscription | str:
    found = _ITEM.fullmatch(part)
    if found is None:
        return f"Expected {NOTIFY} to be {_FORM}, but got '{part[:100]}'"
    channel, what = found["channel"], found["what"].strip()
    if found["verb"] == "late":
        late_us = duration_us(what)
        if not late_us or late_us > DURATION_US_MAX:
            return (
                f"Expected a duration like 90s or 1h30m in {NOTIFY}, but got '{what}'"
            )
        return Subscription(channel=channel, late_us=late_us)
    phases: list[ExecutionPhase] = []
    for name in map(str.strip, what.split(",")):
        phase = next((p for p in TERMINAL_EXECUTION if p.lower() == name.lower()), None)
        if phase is None:
            known = ", ".join(sorted(p.lower() for p in TERMINAL_EXECUTION))
            return f"Expected a phase of {known} in {NOTIFY}, but got '{name[:50]}'"
        phases.append(phase)
    return Subscription(channel=channel, phases=tuple(dict.fromkeys(phases)))
