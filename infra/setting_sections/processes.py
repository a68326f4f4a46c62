"""Sections of the settings: runners, tasks, servers, upgrades and health."""

from __future__ import annotations

import os
import sys

from pydantic import Field

from infra.setting_sections.section import Section


class ProcessSettings(Section):
    """The process plugin, which runs tasks in forked processes of this machine."""

    python: str = Field(sys.executable, description="The Python that runs tasks.")
    python_path: tuple[str, ...] = Field(
        (), description="Folders added to the import path of tasks."
    )
    concurrency: int = Field(
        max(2, os.cpu_count() or 2), gt=0, description="Most tasks run at once."
    )
    templates_max: int = Field(
        4, gt=0, description="Most template processes kept, one per code bundle."
    )
    report_delay_ms: int = Field(
        100, ge=0, description="A task that ends sooner sends a single report."
    )
    template_start_timeout_s: float = Field(
        60.0, gt=0, description="Time within which a template process must be ready."
    )
    kill_grace_s: float = Field(5.0, ge=0, description="Time from SIGTERM to SIGKILL.")


class RunnerSettings(Section):
    """The role that runs dispatched work."""

    name: str = Field(
        "embedded",
        description="Its name, which leases refer to; the same after a restart.",
    )
    heartbeat_interval_s: float = Field(
        5.0, gt=0, description="Interval of its heartbeats."
    )
    stops_unheard: bool = Field(
        default=False,
        description="Stop running tasks once no heartbeat was acknowledged for "
        "propeller.runner_timeout_s, as others may have been given them; they are "
        "tried again. Otherwise they go on.",
    )
    dispatches_max: int = Field(500, gt=0, description="Most dispatches read at once.")
    in_flight_max: int = Field(
        10_000,
        gt=0,
        description="Most dispatches waiting or running; more stay on the log.",
    )
    in_flight_bytes_max: int = Field(
        256 * 2**20,
        gt=0,
        description="Most bytes of dispatches waiting or running; more stay on the "
        "log.",
    )
    drain_timeout_s: float = Field(
        1.0, ge=0, description="Time for running tasks to end at a shutdown."
    )
    output_bytes_max: int = Field(
        256 * 2**20, gt=0, description="Largest outputs of a task in bytes."
    )


class GatewaySettings(Section):
    """The gRPC and HTTP servers."""

    public_url: str = Field(
        "",
        description="URL of the HTTP server as clients reach it, for links; empty: "
        "host and port.",
    )
    task_endpoint: str = Field(
        "",
        description="host:port of the gRPC server as tasks reach it; empty: host and "
        "port.",
    )
    command_timeout_s: float = Field(
        20.0, gt=0, description="Time a call waits for its command's outcome."
    )
    message_bytes_max: int = Field(
        64 * 2**20, gt=0, description="Largest gRPC message in bytes."
    )
    rpcs_max: int = Field(2_000, gt=0, description="Most concurrent gRPC calls.")
    data_bytes_max: int = Field(
        16 * 2**20,
        gt=0,
        description="Largest inputs and outputs in a reply; larger ones are signed "
        "URLs.",
    )
    upload_bytes_max: int = Field(
        4 * 2**30, gt=0, description="Largest upload in bytes."
    )
    signed_url_ttl_s: int = Field(
        3600, gt=0, description="Time for which signed URLs are valid."
    )
    drain_timeout_s: float = Field(
        3.0, ge=0, description="Time for calls in progress to end at a shutdown."
    )


class UpgradeSettings(Section):
    """Rolling upgrades: when messages of a newer version are written."""

    announce_interval_s: float = Field(
        5.0,
        gt=0,
        description="Interval at which a process announces itself and reads which "
        "format level is open.",
    )
    process_timeout_s: float = Field(
        60.0,
        gt=0,
        description="A process silent for this long doesn't hold back a new level.",
    )
    leave_timeout_s: float = Field(
        1.0, gt=0, description="Time to remove a process's announcement at a shutdown."
    )
    opens_by_itself: bool = Field(
        default=True,
        description="Open a new format level once the last process that doesn't know "
        "it has left; the first level is always opened by the operator.",
    )


class HealthSettings(Section):
    """Probes of what a process needs, for `/healthz`."""

    probe_interval_s: float = Field(
        0.5, gt=0, description="Interval at which Postgres and the others are asked."
    )
    probe_timeout_s: float = Field(
        1.0, gt=0, description="What doesn't answer within this time is away."
    )
    disk_free_bytes_min: int = Field(
        16 * 2**20,
        ge=0,
        description="A disk with less room is full: no new task is started.",
    )


class DebugSettings(Section):
    """Checks that cost time, to find defects of the engine."""

    check_encoding: bool = Field(
        default=False,
        description="Decode each message after it was encoded, and compare.",
    )
