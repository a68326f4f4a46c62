"""Sections of the settings: who is told of executions, and how."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from infra.setting_sections.section import Section


class SlackSettings(Section):
    """A channel of Slack, or of what takes Slack's messages."""

    url: SecretStr = Field(
        SecretStr(""),
        repr=False,
        description="URL of an incoming webhook; it is a secret.",
    )


class EmailSettings(Section):
    """Mail by SMTP; it also carries the mails that Flyte's notifications ask for."""

    host: str = Field("", description="The mail server.")
    port: int = Field(587, gt=0, le=65535, description="Its port.")
    tls: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="How the connection is encrypted: after it was made (587), from "
        "its beginning (465), or not at all.",
    )
    username: str = Field("", description="Name to log in with; empty: no login.")
    password: SecretStr = Field(
        SecretStr(""), repr=False, description="Password to log in with."
    )
    sender: str = Field("", description="Address that mails are from.")
    to: tuple[str, ...] = Field((), description="Addresses of the channel `email`.")


class PagerDutySettings(Section):
    """A service of PagerDuty, by Events API v2."""

    routing_key: SecretStr = Field(
        SecretStr(""), repr=False, description="Integration key of the service."
    )
    url: str = Field(
        "https://events.pagerduty.com/v2/enqueue",
        description="Where events are sent; accounts in Europe have another host.",
    )


class WebhookSettings(Section):
    """An endpoint of your own: CloudEvents, signed by Standard Webhooks."""

    url: SecretStr = Field(SecretStr(""), repr=False, description="Its URL.")
    secret: SecretStr = Field(
        SecretStr(""),
        repr=False,
        description="`whsec_…`; two with a blank between while it is rotated.",
    )


class ChannelSettings(Section):
    """A further channel, by a name of your own: one of these."""

    slack: SlackSettings | None = None
    email: EmailSettings | None = None
    pagerduty: PagerDutySettings | None = None
    webhook: WebhookSettings | None = None


class RuleSettings(Section):
    """Which executions are told of, at which moments, on which channels."""

    name: str
    channels: tuple[str, ...]
    project: tuple[str, ...] = ()
    domain: tuple[str, ...] = ()
    workflow: tuple[str, ...] = ()
    launch_plan: tuple[str, ...] = ()
    labels: dict[str, str] = Field({})
    mode: tuple[Literal["manual", "scheduled", "relaunch", "child", "other"], ...] = ()
    children: bool = False
    on: tuple[
        Literal[
            "succeeded", "failed", "aborted", "timed_out", "first_failure",
            "recovered", "system_retries", "parked",
        ],
        ...,
    ] = ()  # fmt: skip
    error_kind: tuple[Literal["user", "system", "unknown"], ...] = ()
    error_code: tuple[str, ...] = ()
    failures_in_a_row: int = Field(0, ge=0)
    running_longer_than: str = ""


class NotifySettings(Section):
    """Who is told of executions; nothing of it runs while no channel is set."""

    instance: str = Field(
        "flightlog", description="What this installation is called in messages."
    )
    slack: SlackSettings = SlackSettings()
    email: EmailSettings = EmailSettings()
    pagerduty: PagerDutySettings = PagerDutySettings()
    webhook: WebhookSettings = WebhookSettings()
    channels: dict[str, ChannelSettings] = Field(
        {}, description="Further channels by name: tables of the file."
    )
    rules: tuple[RuleSettings, ...] = Field(
        (),
        description="Rules: tables of the file. A channel that none names is told of "
        "failures, and of what runs for a day.",
    )
    recipient_domains: tuple[str, ...] = Field(
        (),
        description="Domains to which Flyte's notifications may send mail; empty: any.",
    )
    sends_at_once: int = Field(8, gt=0, description="Most tries at once of a channel.")
    claim_s: float = Field(
        60.0, gt=0, description="Time after which another notifier takes a try over."
    )
    give_up_s: float = Field(
        86_400.0, gt=0, description="Time after which a delivery is given up."
    )
    max_age_s: float = Field(
        604_800.0, gt=0, description="What is older is told nobody any more."
    )

    @property
    def is_on(self) -> bool:
        """Return whether any channel is set."""
        return bool(self.channel_settings)

    @property
    def mail_domains(self) -> frozenset[str]:
        """Return the domains to which mail may go, in small letters; none for any."""
        return frozenset(one.lower() for one in self.recipient_domains)

    @property
    def named_channels(self) -> tuple[str, ...]:
        """Return the channels that may be named: not mail that nobody is to get."""
        return tuple(
            name
            for name, one in self.channel_settings.items()
            if not isinstance(one, EmailSettings) or one.to
        )

    @property
    def channel_settings(self) -> dict[str, Section]:
        """Return the settings of each channel that is set, by its name."""
        found: dict[str, Section] = {}
        if self.slack.url.get_secret_value():
            found["slack"] = self.slack
        if self.email.host:
            found["email"] = self.email
        if self.pagerduty.routing_key.get_secret_value():
            found["pagerduty"] = self.pagerduty
        if self.webhook.url.get_secret_value():
            found["webhook"] = self.webhook
        for name, one in self.channels.items():
            chosen = one.slack or one.email or one.pagerduty or one.webhook
            if chosen is not None:
                found[name] = chosen
        return found
