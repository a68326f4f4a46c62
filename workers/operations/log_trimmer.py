"""Trimming: handled messages of the log on Postgres are deleted after a while."""

from __future__ import annotations

import asyncio

import structlog

from infra.errors import FencedError
from infra.eventlog.postgres.log import PostgresLog
from infra.eventlog.postgres.rows import PARTITION
from infra.outages import Attempts
from infra.retry import retry_transient
from infra.setting_sections.storage import LogSettings
from schemas import topics

log_ = structlog.get_logger(__name__)


async def trim(log: PostgresLog, settings: LogSettings) -> None:
    """Delete handled messages periodically; events stay for ever.

    A round that fails is repeated: nothing else depends on it.
    """
    failures = Attempts("trim_failed")
    while True:
        await asyncio.sleep(settings.trim_interval_s)
        try:
            await retry_transient(lambda: _trim_once(log, settings), "trim_delayed")
        except FencedError:
            raise
        except Exception as error:  # noqa: BLE001 - tried again in the next round
            failures.failed(error)
        else:
            failures.worked()


async def _trim_once(log: PostgresLog, settings: LogSettings) -> None:
    handled = await log.positions(topics.PROPELLER_GROUP, topics.COMMANDS)
    executed = await log.positions(topics.RUNNER_GROUP, topics.DISPATCHES)
    positions = {
        topics.COMMANDS: handled[PARTITION],
        topics.DISPATCHES: executed[PARTITION],
        topics.ABORTS: executed[PARTITION],
    }
    count = await log.trim(positions, settings.retained_messages)
    if count:
        log_.debug("log_trimmed", messages=count)
