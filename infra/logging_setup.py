"""Structured logs to standard error, as text or JSON lines; those of libraries, too."""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import TracebackType
from typing import TextIO, cast

import structlog
from structlog.typing import Processor

from infra.errors import TransientError
from infra.lossy_stream import LossyStream

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


CACHES_LOGGERS = True
"""Off in tests: a logger that is cached can't be captured by a later one."""
_INTERVAL_S = 1.0
_MESSAGES_MAX = 1000
_CLIENTS = frozenset({"aiokafka", "minio", "psycopg", "psycopg_pool", "urllib3"})


class OutageFilter(logging.Filter):
    """Drops what clients of Kafka, Postgres and S3 say about what they can't reach.

    They repeat it for each connection and attempt; the engine says it once, and once
    when it is over (`infra/outages.py`). Defects pass.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a message is passed."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            return not (_is_clients(type(error).__module__) or _is_outage(error))
        return not _is_clients(record.name)


def _is_clients(name: str) -> bool:
    return name.partition(".")[0] in _CLIENTS


def _is_outage(error: BaseException) -> bool:
    return isinstance(error, TransientError | ConnectionError | TimeoutError)


class RepeatFilter(logging.Filter):
    """Passes the same message of a library once a second.

    Clients log each attempt to reach a broker. The next message that is passed has the
    number of those that were not.
    """

    def __init__(self) -> None:
        """Begin with no message seen."""
        super().__init__()
        self._passed: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a message is passed."""
        if record.exc_info:
            return True
        key = (record.name, record.levelno, str(record.msg))
        now_s = time.monotonic()
        passed_s, missed = self._passed.get(key, (0.0, 0))
        if passed_s and now_s - passed_s < _INTERVAL_S:
            self._passed[key] = passed_s, missed + 1
            return False
        if len(self._passed) > _MESSAGES_MAX:
            self._passed.clear()
        self._passed[key] = now_s, 0
        if missed:
            record.msg = f"{record.msg} (repeated {missed} times)"
        return True


def configure(level: str, *, as_json: bool) -> None:
    """Configure structlog, and the logging of libraries, for this process.

    Fields bound by `structlog.contextvars` are on every line. Libraries are logged
    from WARNING on: below that they report their own internals.
    """
    chosen = logging.getLevelName(level.upper())
    out = cast("TextIO", LossyStream(sys.stderr))  # it has what loggers call
    rendering = _rendering(as_json=as_json)
    structlog.configure(
        processors=[*_SHARED, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(chosen),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=CACHES_LOGGERS,
    )
    handler = logging.StreamHandler(out)
    if chosen > logging.DEBUG:
        handler.addFilter(OutageFilter())
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
    if as_json:
        _log_what_python_prints()


def _log_what_python_prints() -> None:
    """Log warnings and unhandled exceptions, which Python prints as text."""
    logging.captureWarnings(True)  # noqa: FBT003 - the library's own signature
    log = structlog.get_logger(__name__)

    def unhandled(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        log.critical("unhandled_exception", exc_info=(kind, error, trace))

    sys.excepthook = unhandled
    threading.excepthook = lambda args: log.error(
        "thread_failed",
        thread=getattr(args.thread, "name", ""),
        exc_info=args.exc_value,
    )
    sys.unraisablehook = lambda args: log.error(
        "exception_ignored", at=repr(args.object), exc_info=args.exc_value
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
