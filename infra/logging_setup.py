"""Structured logs: to standard error, as text or JSON lines; libraries' as well."""

from __future__ import annotations

import logging
import sys
import time

import structlog
from structlog.typing import Processor

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


_REPEATS_S = 1.0
_KINDS_MAX = 1000


class RepeatFilter(logging.Filter):
    """Lets the same complaint of a library through once a second.

    Clients of a broker that is away tell of each try. The next one that is heard tells
    how many were not.
    """

    def __init__(self) -> None:
        """Expect the first of each."""
        super().__init__()
        self._heard: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is heard."""
        if record.exc_info:
            return True
        key = (record.name, record.levelno, str(record.msg))
        now_s = time.monotonic()
        heard_s, missed = self._heard.get(key, (0.0, 0))
        if heard_s and now_s - heard_s < _REPEATS_S:
            self._heard[key] = heard_s, missed + 1
            return False
        if len(self._heard) > _KINDS_MAX:
            self._heard.clear()
        self._heard[key] = now_s, 0
        if missed:
            record.msg = f"{record.msg} (and {missed} times more)"
        return True


def configure(level: str, *, as_json: bool) -> None:
    """Configure structlog, and the logging of libraries, for this process.

    Fields bound by `structlog.contextvars` are on every line. Libraries are heard from
    WARNING on: what they tell below that is about themselves.
    """
    chosen = logging.getLevelName(level.upper())
    rendering = _rendering(as_json=as_json)
    structlog.configure(
        processors=[*_SHARED, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(chosen),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RepeatFilter())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *rendering,
            ],
        )
    )
    logging.basicConfig(
        handlers=[handler], level=max(chosen, logging.WARNING), force=True
    )


def _rendering(*, as_json: bool) -> tuple[Processor, ...]:
    if as_json:
        return (
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        )
    return (
        structlog.processors.StackInfoRenderer(),
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
        ),
    )
