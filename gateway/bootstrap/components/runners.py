"""Builds a runner and its process plugin."""

from __future__ import annotations

import secrets
from pathlib import Path

import structlog

from gateway.bootstrap.adapters import Adapters
from gateway.executions.task_logs import log_url
from infra.blobs.addresses import SCHEME, task_variables
from infra.blobs.files import Blobs
from infra.blobs.waiting import WaitingBlobs
from infra.postgres.pool import Pool
from infra.settings import Settings
from infra.task_environment import task_environment
from projections.queries.catalog import Catalog
from schemas.messages.dispatches import RunTask
from workers.plugins.process.plugin import ProcessPlugin
from workers.runner.cache_lookup import CacheLookups
from workers.runner.dynamic_compiler import DynamicCompiler
from workers.runner.loop import Runner

log_ = structlog.get_logger(__name__)


def process_plugin(
    settings: Settings, folder: Path, pool: Pool, blobs: Blobs
) -> ProcessPlugin | None:
    """Return the process plugin; None if the settings choose another one.

    Code bundles are unpacked below the folder. Links to logs are paths: which URL is
    before them, the gateway knows that shows them.
    """
    if settings.plugin != "process":
        return None

    def url(dispatch: RunTask) -> str:
        return log_url("", dispatch.execution, dispatch.node_id, dispatch.attempt)

    waiting = WaitingBlobs(blobs)
    return ProcessPlugin(
        settings=settings.process,
        blobs=waiting,
        folder=folder,
        base_env=task_environment(settings)
        | (task_variables(settings.s3) if blobs.root.startswith(SCHEME) else {}),
        log_url=url,
        inline_limit=settings.inline_bytes_max,
        output_bytes_max=settings.runner.output_bytes_max,
        dynamic_compiler=DynamicCompiler(
            pool, waiting, settings.runner.output_bytes_max
        ),
    )


def runner(adapters: Adapters, process: ProcessPlugin | None, name: str) -> Runner:
    """Return a runner of this name, with a new incarnation."""
    settings = adapters.settings
    return Runner(
        log=adapters.log,
        blobs=WaitingBlobs(adapters.blobs, adapters.clock),
        clock=adapters.clock,
        settings=settings.runner.model_copy(update={"name": name}),
        incarnation=secrets.token_hex(4),
        process=process,
        inline_limit=settings.inline_bytes_max,
        report_delay_s=settings.process.report_delay_ms / 1000,
        cache_lookups=CacheLookups(
            catalog=Catalog(adapters.pool, adapters.log, settings.cache),
            blobs=adapters.blobs,
            poll_s=settings.cache.poll_interval_s,
            clock=adapters.clock,
        ),
        timeout_s=settings.propeller.runner_timeout_s,
        format_level=lambda: adapters.gate.level,
    )


async def warm_up(process: ProcessPlugin) -> None:
    """Start a first template early; if it fails, tasks report the error themselves."""
    try:
        await process.warm_up()
    except OSError as error:
        log_.warning("template_not_started", error=str(error))
