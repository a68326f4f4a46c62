"""Running an engine or a role until this process is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator

import uvloop

from gateway.bootstrap.data_dir import EngineAlreadyRunningError
from gateway.bootstrap.ports import PortInUseError
from gateway.bootstrap.supervision import PartEndedError
from gateway.cli.errors import CommandError
from gateway.cli.sentences import sentence
from infra import logging_setup
from infra.settings import Settings
from schemas.wire import codec


def run_until_stopped(settings: Settings, serving: Coroutine[None, None, None]) -> None:
    """Run it in a new event loop (ADR 24); raises CommandError for what ended it."""
    logging_setup.configure(settings.log_level, as_json=settings.log_json)
    if settings.debug.check_encoding:
        codec.ENGINE.checks_encoding = True
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serving)
    except BaseExceptionGroup as group:
        texts = [text for text in map(_text, _leaves(group)) if text is not None]
        if not texts:
            raise
        raise CommandError(texts[0]) from group
    except Exception as error:
        text = _text(error)
        if text is None:
            raise
        raise CommandError(text) from error


def _text(error: BaseException) -> str | None:
    if isinstance(error, PartEndedError):
        return f"The engine stopped: {error}"
    if isinstance(error, EngineAlreadyRunningError | PortInUseError):
        return str(error)
    return sentence(error)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error
