"""Running an engine or a role until this process is told to stop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine

from psycopg import Error

from gateway.bootstrap.data_dir import EngineAlreadyRunningError
from gateway.bootstrap.ports import PortInUseError
from gateway.bootstrap.supervision import PartEndedError
from gateway.cli.errors import CommandError
from infra import logging_setup
from infra.errors import InfraError
from infra.postgres.failures import Failure, failure_of
from infra.settings import Settings
from schemas.wire import codec

GC_THRESHOLDS = (50_000, 50, 100)
"""Active executions are many small objects without cycles: collect rarely."""


def run_until_stopped(settings: Settings, serving: Coroutine[None, None, None]) -> None:
    """Run it in a new event loop; raises CommandError for what ended it."""
    logging_setup.configure(settings.log_level, as_json=settings.log_json)
    if settings.debug.check_encoding:
        codec.ENGINE.checks_encoding = True
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with asyncio.Runner() as runner:
            runner.run(serving)
    except (EngineAlreadyRunningError, PortInUseError, InfraError) as error:
        raise CommandError(str(error)) from error
    except Error as error:
        if failure_of(error) is not Failure.OUTAGE:
            raise
        raise CommandError(f"Cannot reach Postgres: {error}") from error
    except BaseExceptionGroup as group:
        died = group.subgroup((PartEndedError, PortInUseError, InfraError))
        if died is None:
            raise
        first = _first(died)
        raise CommandError(f"The engine stopped: {first}") from group


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
