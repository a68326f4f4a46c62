"""`flightlog notify check` and `test`: channels and rules as the settings have them."""

from __future__ import annotations

import secrets

import typer

from domain.notifying.live_execution import LiveExecution
from domain.notifying.notice import Notice, message_id
from domain.notifying.words import words
from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.json_output import print_json
from infra.clock import SYSTEM_CLOCK
from infra.setting_sections.notifications import NotifySettings
from schemas.ids import EntityRef, ExecutionRef
from schemas.json_types import JsonObject
from workers.notifier.channel_checks import violations
from workers.notifier.channels.contract import Message, Result
from workers.notifier.open_channels import open_channels
from workers.notifier.policy import InvalidRuleError, policy


def check(settings: NotifySettings, *, json: bool) -> None:
    """Print channels and rules; exits with 1 if one of them can't be used."""
    wrong = list(violations(settings))
    try:
        rules = policy(settings).rules
    except InvalidRuleError as error:
        wrong.append(str(error))
        rules = ()
    channels = {
        name: type(one).__name__.removesuffix("Settings").lower()
        for name, one in settings.channel_settings.items()
    }
    if json:
        named: JsonObject = {rule.name: [*rule.channels] for rule in rules}
        print_json({"channels": {**channels}, "rules": {**named}, "wrong": [*wrong]})
    else:
        for name, kind in channels.items():
            typer.echo(f"channel {name}  {kind}")
        for rule in rules:
            typer.echo(f"rule {rule.name}  → {', '.join(rule.channels)}")
        if not channels:
            typer.echo("no channel is set: nobody is told of anything")
        for text in wrong:
            typer.echo(text, err=True)
    if wrong:
        raise typer.Exit(ExitCode.FAILED)


async def send_test(settings: NotifySettings, channel: str, *, json: bool) -> None:
    """Send a message to a channel; exits with 1 if its provider didn't take it."""
    known = settings.channel_settings
    if channel not in known:
        names = ", ".join(known) or "none"
        raise CommandError(
            f"Expected a channel that is set ({names}), but got '{channel}'",
            ExitCode.USAGE,
        )
    now_us = SYSTEM_CLOCK.now_us()
    async with open_channels(settings, SYSTEM_CLOCK) as channels:
        answer = await channels[channel].send(_message(now_us))
    is_sent = answer.result is Result.SENT
    if json:
        print_json({"channel": channel, "sent": is_sent, "answer": answer.text})
    else:
        became = "sent" if is_sent else answer.result.name.lower()
        typer.echo(f"{became}: {answer.text}")
    if not is_sent:
        raise typer.Exit(ExitCode.FAILED)


def _message(now_us: int) -> Message:
    plan = EntityRef(
        kind="LAUNCH_PLAN", project="test", domain="test", name="test", version="test"
    )
    live = LiveExecution(
        execution=ExecutionRef(project="test", domain="test", name="test"),
        launch_plan=plan,
        workflow=plan,
        created_at_us=now_us,
    )
    notice = Notice(reason="test", live=live, at_us=now_us)
    return Message(
        id=message_id(f"test/{secrets.token_hex(8)}"),
        action="tell",
        subject="test",
        words=words(notice, "flightlog notify test", ""),
    )
