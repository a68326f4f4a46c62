"""Sections of the settings: how executions are admitted, run and kept."""

from __future__ import annotations

from pydantic import Field

from infra.setting_sections.section import Section


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


class AdmissionSettings(Section):
    """Defaults of new executions, where nothing else is set (ref §2.3)."""

    max_parallelism: int = Field(25, ge=0, description="Most task nodes run at once.")
    workflow_nodes_max: int = Field(
        60_000, ge=0, description="Most nodes per workflow; 0: no limit."
    )
