"""Settings: read once, from the environment and one TOML file; validated, frozen."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

CONFIG_VARIABLE = "FLIGHTLOG_CONFIG"
_SECRET = re.compile(r"(://[^:/@]*:|password=)[^@&\s]+(?=@|&|\s|$)")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LogSettings(_Part):
    """Bounds of the log and of the loops that read it."""

    batch_max: int = Field(
        200, gt=0, description="Commands in one transaction at most."
    )
    records_max: int = Field(
        4000, gt=0, description="Records in one transaction at most."
    )
    poll_s: float = Field(
        1.0, gt=0, description="A wait for news looks again after this."
    )
    recent_max: int = Field(
        10_000, gt=0, description="Records of a topic kept in memory."
    )
    recent_bytes_max: int = Field(
        16 * 2**20, gt=0, description="Bytes of a topic's records kept in memory."
    )
    appends_max: int = Field(
        1000, gt=0, description="Callers that append at once; more wait their turn."
    )
    lock_s: float = Field(
        5.0, gt=0, description="A killed engine's session lets go of the log by then."
    )
    keep_commands: int = Field(
        100_000, ge=0, description="Handled messages kept to catch repeated ones."
    )
    trim_s: float = Field(
        60.0, gt=0, description="Handled messages are trimmed this often."
    )


class KafkaSettings(_Part):
    """The broker, for roles that are processes of their own."""

    servers: str = Field(
        "", description="host:port of brokers, by commas; empty: the log is Postgres."
    )
    instance: str = Field(
        "",
        description="Name of this process, the same after a restart: a quick one "
        "keeps its partitions. No two at once may share it.",
    )
    prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Put before the names of topics and groups: several Flightlogs "
        "can share a broker.",
    )
    partitions: int = Field(
        4, gt=0, description="Partitions of topics; fixed once they are made."
    )
    replication: int = Field(1, gt=0, description="Copies of each partition.")
    message_bytes_max: int = Field(
        8 * 2**20, gt=0, description="Bytes of one message at most."
    )
    session_s: float = Field(
        6.0, gt=0, description="A process silent this long loses its partitions."
    )
    heartbeat_s: float = Field(
        1.0, gt=0, description="How often a process tells the broker that it lives."
    )
    transaction_s: float = Field(
        6.0, gt=0, description="A transaction open this long is aborted."
    )
    request_s: float = Field(
        10.0, gt=0, description="The broker must have answered by then."
    )
    hand_over_s: float = Field(
        5.0, gt=0, description="A partition taken away must be let go of by then."
    )


class PropellerSettings(_Part):
    """Budgets of executions."""

    system_retries: int = Field(
        3, ge=0, description="Attempts that the system may cost."
    )
    redispatches: int = Field(
        20, ge=0, description="Runners that one attempt may lose."
    )
    array_elements: int = Field(
        250,
        gt=0,
        description="Elements of one array that are under way at most: more keep more "
        "runners busy, but others' work waits behind them.",
    )
    execution_timeout_s: float = Field(
        0.0, ge=0, description="Executions without a time limit have this; 0: none."
    )
    system_backoff_s: float = Field(
        0.2,
        ge=0,
        description="Pause before the first attempt that the system costs; each later "
        "one is twice as long.",
    )
    user_backoff_s: float = Field(
        0.0, ge=0, description="The same for the user's retries, where no task says."
    )
    backoff_max_s: float = Field(
        60.0, ge=0, description="No pause between attempts grows longer than this."
    )
    oom_memory_factor: float = Field(
        1.0,
        ge=1,
        le=16,
        description="An attempt after one that was killed gets so many times its "
        "memory, where no task says.",
    )
    silence_s: float = Field(
        30.0, gt=0, description="A runner silent this long is lost."
    )
    closed_max: int = Field(
        100_000, gt=0, description="Ended streams remembered in memory."
    )
    definitions_max: int = Field(
        64, gt=0, description="Compiled workflows kept in memory."
    )


class SnapshotSettings(_Part):
    """Folded states that a propeller leaves for who takes its partitions up."""

    every_s: float = Field(
        10.0, gt=0, description="What changed is written this often."
    )
    nodes_max: int = Field(256, gt=0, description="Nodes in a chunk at most.")
    chunk_bytes_max: int = Field(
        256 * 1024, gt=0, description="Bytes of a chunk of several nodes at most."
    )
    commit_bytes: int = Field(
        2**20, gt=0, description="Bytes after which commands get their turn."
    )
    last_s: float = Field(
        2.0, ge=0, description="Whoever lets go of a partition writes on this long."
    )


class ProcessSettings(_Part):
    """The plugin that runs tasks in warm processes of this machine."""

    python: str = Field(sys.executable, description="The Python that runs tasks.")
    path: tuple[str, ...] = Field((), description="Folders added to its import path.")
    concurrency: int = Field(
        max(2, os.cpu_count() or 2), gt=0, description="Tasks that run at once."
    )
    templates_max: int = Field(
        4, gt=0, description="Warm templates kept, one a code bundle."
    )
    report_delay_ms: int = Field(
        100, ge=0, description="A task that ends sooner sends a single report."
    )
    template_start_s: float = Field(
        60.0, gt=0, description="A template is warm by then."
    )
    kill_grace_s: float = Field(5.0, ge=0, description="From SIGTERM to SIGKILL.")


class RunnerSettings(_Part):
    """The role that carries dispatches out."""

    name: str = Field("embedded", description="Its lasting name; leases bear it.")
    heartbeat_s: float = Field(
        5.0, gt=0, description="It tells that it lives this often."
    )
    dispatches_max: int = Field(500, gt=0, description="Dispatches read at once.")
    waiting_max: int = Field(
        10_000, gt=0, description="Dispatches that wait or run; more stay on the log."
    )
    drain_s: float = Field(
        1.0, ge=0, description="Tasks have this long to end at a stop."
    )
    output_bytes_max: int = Field(
        256 * 2**20, gt=0, description="Outputs of a task larger than this are refused."
    )


class CacheSettings(_Part):
    """Outputs of tasks kept for reuse."""

    max_age_s: float = Field(
        0.0, ge=0, description="Older outputs aren't reused; 0: however old."
    )
    reservation_s: float = Field(
        30.0, gt=0, description="A serialized task whose runner is silent is let go."
    )
    poll_s: float = Field(
        0.5, gt=0, description="A wait for another's outputs looks again after this."
    )
    behind_s: float = Field(
        10.0, ge=0, description="A look-up waits this long for views that are behind."
    )


class RetentionSettings(_Part):
    """What is deleted, and when."""

    executions_s: float = Field(
        0.0,
        ge=0,
        description="Executions that ended longer ago are deleted with their blobs "
        "and children; 0: none are.",
    )
    leftovers_s: float = Field(
        86_400.0,
        gt=0,
        description="Inputs of requests, and uploads, that came to nothing go then.",
    )
    round_s: float = Field(
        5.0, gt=0, description="What is deleted is swept away this often."
    )
    round_max: int = Field(
        100, gt=0, description="Executions deleted, and swept away, in a round at most."
    )


class AdmissionSettings(_Part):
    """Defaults of executions where nobody says otherwise (ref §2.3)."""

    max_parallelism: int = Field(25, ge=0, description="Task nodes that run at once.")
    workflow_nodes_max: int = Field(
        60_000, ge=0, description="Nodes that a workflow may have; 0 is no limit."
    )


class GatewaySettings(_Part):
    """The door."""

    url: str = Field(
        "",
        description="The HTTP door as clients reach it, for links; empty: host and "
        "port.",
    )
    endpoint: str = Field(
        "",
        description="host:port of gRPC as tasks reach it; empty: host and port.",
    )
    outcome_s: float = Field(20.0, gt=0, description="A command's outcome is awaited.")
    message_bytes_max: int = Field(
        64 * 2**20, gt=0, description="The largest gRPC message."
    )
    rpcs_max: int = Field(2_000, gt=0, description="gRPC calls served at once.")
    data_bytes_max: int = Field(
        16 * 2**20, gt=0, description="Replies with more values give signed links."
    )
    upload_bytes_max: int = Field(4 * 2**30, gt=0, description="The largest upload.")
    signed_url_s: int = Field(
        3600, gt=0, description="Signed links are good for this long."
    )
    drain_s: float = Field(
        3.0, ge=0, description="Calls under way at a stop may take this."
    )


class S3Settings(_Part):
    """An S3 (MinIO, AWS and others), where `blobs` is an address `s3://…`."""

    endpoint: str = Field("https://s3.amazonaws.com", description="Its URL.")
    public_endpoint: str = Field(
        "", description="Its URL as clients reach it; empty: the same."
    )
    access_key: str = Field("", description="The key to sign with.")
    secret_key: str = Field("", repr=False, description="The key's secret.")
    region: str = Field("us-east-1", description="The bucket's region.")
    ca_file: str = Field("", description="A file of certificates to trust.")
    connections: int = Field(16, gt=0, description="Calls at once.")
    timeout_s: float = Field(30.0, gt=0, description="A call may be silent this long.")
    retries: int = Field(3, ge=0, description="A call is tried again this often.")


class Settings(BaseSettings):
    """Everything that can be set: FLIGHTLOG_* with `__` between levels, or TOML."""

    model_config = SettingsConfigDict(
        env_prefix="FLIGHTLOG_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
    )

    data_dir: Path = Field(Path.home() / ".flightlog", description="Where data lies.")
    host: str = Field("127.0.0.1", description="The address to listen on.")
    grpc_port: int = Field(
        30080, ge=0, le=65535, description="The port of the gRPC API."
    )
    http_port: int = Field(
        30081, ge=0, le=65535, description="The port of REST and blobs."
    )
    plugin: Literal["process", "echo"] = Field("process", description="Runs tasks.")
    postgres: str = Field(
        "", repr=False, description="A Postgres URL; empty: an embedded one."
    )
    blobs: str = Field(
        "",
        description="A folder, or `s3://bucket/prefix`; empty: below the data folder.",
    )
    domains: tuple[str, ...] = Field(
        ("development", "staging", "production"), description="Of every project."
    )
    inline_limit_bytes: int = Field(
        16384, ge=0, description="Larger values are offloaded."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The lowest level that is logged."
    )
    log_json: bool = Field(default=False, description="Log JSON lines.")
    log: LogSettings = LogSettings()
    kafka: KafkaSettings = KafkaSettings()
    propeller: PropellerSettings = PropellerSettings()
    snapshots: SnapshotSettings = SnapshotSettings()
    runner: RunnerSettings = RunnerSettings()
    process: ProcessSettings = ProcessSettings()
    admission: AdmissionSettings = AdmissionSettings()
    gateway: GatewaySettings = GatewaySettings()
    s3: S3Settings = S3Settings()
    cache: CacheSettings = CacheSettings()
    retention: RetentionSettings = RetentionSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let arguments win over the environment, and that over the file."""
        del dotenv_settings, file_secret_settings
        sources = [init_settings, env_settings]
        file = os.environ.get(CONFIG_VARIABLE)
        if file:
            path = Path(file).expanduser()
            if not path.is_file():
                raise FileNotFoundError(
                    f"Expected a TOML file at {path} ({CONFIG_VARIABLE}), "
                    "but there is none"
                )
            sources.append(TomlConfigSettingsSource(settings_cls, path))
        return tuple(sources)

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    def redacted(self) -> dict[str, Any]:
        """Return every setting for people, without the secrets in URLs."""
        found = self.model_dump(mode="json")
        found["postgres"] = _SECRET.sub(r"\1***", self.postgres)
        found["s3"]["secret_key"] = "***" if self.s3.secret_key else ""
        return found
