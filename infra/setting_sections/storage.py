"""Sections of the settings: the event log, Kafka and S3."""

from __future__ import annotations

from pydantic import Field

from infra.setting_sections.section import Section


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
    metadata_max_age_s: float = Field(
        30.0,
        gt=0,
        description="Time after which a process asks again which partitions there are.",
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
