"""Sections of the settings: log, Kafka, propeller, runner, gateway and others."""

from __future__ import annotations

import os
import sys

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A table of the file: its fields are settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LogSettings(Section):
    """Limits of the event log, and of the loops that read it."""

    batch_max: int = Field(200, gt=0, description="Most commands per transaction.")
    records_max: int = Field(4000, gt=0, description="Most records per transaction.")
    bytes_max: int = Field(
        16 * 2**20,
        gt=0,
        description="Most bytes per transaction, unless one command yields more.",
    )
    events_max: int = Field(
        1000, gt=0, description="Most events per transaction of the read models."
    )
    read_bytes_max: int = Field(
        16 * 2**20,
        gt=0,
        description="Most bytes of messages read at once, unless one is larger.",
    )
    poll_interval_s: float = Field(
        1.0, gt=0, description="Interval at which a reader without news looks again."
    )
    recent_records_max: int = Field(
        10_000, gt=0, description="Most records per topic kept in memory."
    )
    recent_bytes_max: int = Field(
        16 * 2**20, gt=0, description="Most bytes of records per topic kept in memory."
    )
    appends_max: int = Field(
        1000, gt=0, description="Most concurrent appends; further ones wait."
    )
    lock_timeout_s: float = Field(
        5.0,
        gt=0,
        description="Time to wait for the log's lock, which the session of a killed "
        "engine may still hold.",
    )
    retained_messages: int = Field(
        100_000,
        ge=0,
        description="Handled messages kept, so that repeated ones are recognized.",
    )
    trim_interval_s: float = Field(
        60.0, gt=0, description="Interval at which handled messages are trimmed."
    )


class KafkaSettings(Section):
    """The broker, for roles that are processes of their own."""

    bootstrap_servers: str = Field(
        "",
        description="host:port of brokers, separated by commas; empty: the log is on "
        "Postgres.",
    )
    group_instance_id: str = Field(
        "",
        description="Name of this process that is the same after a restart, so that a "
        "quick restart keeps its partitions. No two running processes of a role may "
        "share it.",
    )
    prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Prefix of the names of topics and groups, so that several "
        "engines can share a broker.",
    )
    partitions: int = Field(
        4,
        gt=0,
        description="Partitions per topic; can't be changed once topics exist.",
    )
    replication_factor: int = Field(
        1, gt=0, description="Replicas of each partition of new topics."
    )
    message_bytes_max: int = Field(
        8 * 2**20, gt=0, description="Largest message in bytes."
    )
    fetch_bytes_max: int = Field(
        32 * 2**20,
        gt=0,
        description="Most bytes fetched from a broker at once, unless a message is "
        "larger.",
    )
    retention_s: float = Field(
        7 * 86_400.0,
        ge=0,
        description="Commands, dispatches and aborts that every reader has passed are "
        "deleted when older.",
    )
    session_timeout_s: float = Field(
        6.0, gt=0, description="A process silent for this long loses its partitions."
    )
    heartbeat_interval_s: float = Field(
        1.0, gt=0, description="Interval of a process's heartbeats to the broker."
    )
    transaction_timeout_s: float = Field(
        6.0, gt=0, description="A transaction open for this long is aborted."
    )
    open_transaction_timeout_s: float = Field(
        30.0,
        gt=0,
        description="Time a read waits for another process's open transaction, before "
        "it begins again.",
    )
    request_timeout_s: float = Field(
        10.0, gt=0, description="Time within which the broker must answer a request."
    )
    revoke_timeout_s: float = Field(
        5.0, gt=0, description="Time within which a revoked partition is released."
    )
    given_up_s: float = Field(
        30.0,
        gt=0,
        description="Time for which a process leaves partitions to others after a "
        "message that only a newer version can read.",
    )


class PropellerSettings(Section):
    """Budgets and limits of executions."""

    system_retries: int = Field(
        3, ge=0, description="Retries of a task after failures of the system."
    )
    redispatches: int = Field(
        20, ge=0, description="Times an attempt is dispatched again after lost runners."
    )
    input_bytes_max: int = Field(
        256 * 2**20, gt=0, description="Largest inputs of an execution in bytes."
    )
    array_concurrency: int = Field(
        250,
        gt=0,
        description="Most active elements per array: more keep more runners busy, but "
        "the work of other executions waits behind them.",
    )
    execution_timeout_s: float = Field(
        0.0,
        ge=0,
        description="Timeout of executions that don't set their own; 0: none.",
    )
    system_backoff_s: float = Field(
        0.2,
        ge=0,
        description="Delay before the first retry after a failure of the system; "
        "doubles with each further one.",
    )
    user_backoff_s: float = Field(
        0.0,
        ge=0,
        description="Delay before the first retry after a task's own failure, unless "
        "the task sets it; doubles with each further one.",
    )
    backoff_max_s: float = Field(
        60.0, ge=0, description="Longest delay between two attempts."
    )
    oom_memory_factor: float = Field(
        1.0,
        ge=1,
        le=16,
        description="Factor by which memory grows for the attempt after one that ran "
        "out of it, unless the task sets it.",
    )
    runner_timeout_s: float = Field(
        30.0, gt=0, description="A runner silent for this long loses its leases."
    )
    closed_streams_max: int = Field(
        100_000, gt=0, description="Most closed streams kept in memory."
    )
    definitions_max: int = Field(
        64, gt=0, description="Most compiled workflows kept in memory."
    )


class SnapshotSettings(Section):
    """Snapshots of states, from which the next owner of a partition restores."""

    interval_s: float = Field(
        10.0, gt=0, description="Interval at which changed states are written."
    )
    chunk_nodes_max: int = Field(256, gt=0, description="Most nodes per chunk.")
    chunk_bytes_max: int = Field(
        256 * 1024, gt=0, description="Most bytes per chunk of several nodes."
    )
    commit_bytes: int = Field(
        2**20,
        gt=0,
        description="Bytes written between two batches of commands.",
    )
    shutdown_timeout_s: float = Field(
        2.0,
        ge=0,
        description="Time to write changed states when a partition is released.",
    )


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


class CacheSettings(Section):
    """Outputs of tasks stored for reuse."""

    max_age_s: float = Field(
        0.0, ge=0, description="Older outputs aren't reused; 0: no limit."
    )
    reservation_ttl_s: float = Field(
        30.0,
        gt=0,
        description="A serialized task's reservation expires unless its runner "
        "extends it.",
    )
    poll_interval_s: float = Field(
        0.5,
        gt=0,
        description="Interval at which a task waiting for another's outputs looks "
        "again.",
    )
    lag_timeout_s: float = Field(
        10.0,
        ge=0,
        description="Time a look-up waits for read models that lag behind the log.",
    )


class RetentionSettings(Section):
    """What is deleted, and when."""

    execution_ttl_s: float = Field(
        0.0,
        ge=0,
        description="Executions that ended longer ago are deleted with their blobs "
        "and child executions; 0: never.",
    )
    orphan_ttl_s: float = Field(
        86_400.0,
        gt=0,
        description="Inputs of requests that created no execution, and unfinished "
        "uploads, are deleted when older.",
    )
    interval_s: float = Field(5.0, gt=0, description="Interval of deletion rounds.")
    batch_max: int = Field(
        100, gt=0, description="Most executions deleted per round, and swept per round."
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


class DebugSettings(Section):
    """Checks that cost time, to find defects of the engine."""

    check_encoding: bool = Field(
        default=False,
        description="Decode each message after it was encoded, and compare.",
    )


class AdmissionSettings(Section):
    """Defaults of new executions, where nothing else is set (ref §2.3)."""

    max_parallelism: int = Field(25, ge=0, description="Most task nodes run at once.")
    workflow_nodes_max: int = Field(
        60_000, ge=0, description="Most nodes per workflow; 0: no limit."
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


class S3Settings(Section):
    """An S3 (MinIO, AWS and others), where `blobs` is an address `s3://…`."""

    endpoint: str = Field("https://s3.amazonaws.com", description="Its URL.")
    public_endpoint: str = Field(
        "", description="Its URL as clients reach it; empty: the same."
    )
    access_key: str = Field("", description="The access key.")
    secret_key: str = Field("", repr=False, description="The access key's secret.")
    region: str = Field("us-east-1", description="The bucket's region.")
    ca_file: str = Field("", description="A file of CA certificates to trust.")
    connections: int = Field(16, gt=0, description="Most concurrent requests.")
    timeout_s: float = Field(
        30.0, gt=0, description="Timeout of connecting, and of each read."
    )
    retries: int = Field(3, ge=0, description="Retries of a request.")
