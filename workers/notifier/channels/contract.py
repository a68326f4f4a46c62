"""The port of a channel: sends one message once, and sorts the provider's answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from domain.notifying.notice import Action
from domain.notifying.words import Words


class Result(Enum):
    """What became of one try to send."""

    SENT = auto()
    RETRY = auto()
    """Certainly not sent: try again later."""
    WAIT = auto()
    """The provider asks to wait; the channel is well."""
    REFUSED = auto()
    """This message will never be taken."""
    GONE = auto()
    """The channel takes no message: its address or secret is wrong."""
    UNKNOWN = auto()
    """It may have been sent: try again with the same key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A result, in the provider's words.

    `after_s` is how long the provider asks to wait, `reference` what it calls the
    message, `refused` the recipients that were refused for good while others weren't.
    """

    result: Result
    text: str = ""
    after_s: float | None = None
    reference: str = ""
    refused: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    """Recipients that must be tried again, where others have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a channel sends: `id` is the same on each try.

    `subject` is what it is about, the same for all executions of one launch plan and
    rule. `recipients` are those of a mail, () for the channel's own; `body` a mail's
    text that an author wrote, '' for `words`.
    """

    id: str
    action: Action
    subject: str
    words: Words
    recipients: tuple[str, ...] = ()
    body: str = ""
    traceparent: str = ""


class Channel(Protocol):
    """Carries messages to one place."""

    @property
    def is_ordered(self) -> bool:
        """Return whether messages about one subject must go out in order."""
        ...

    async def send(self, message: Message) -> Answer:
        """Send a message once; raises nothing, whatever happens."""
        ...
