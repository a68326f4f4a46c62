"""Settings: read once, from the environment and one TOML file; validated, frozen."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from infra import setting_errors, setting_names
from infra.renamed_settings import renamed
from infra.setting_names import CONFIG_VARIABLE, PREFIX
from infra.setting_sections.executions import (
    AdmissionSettings,
    CacheSettings,
    PropellerSettings,
    RetentionSettings,
    SnapshotSettings,
)
from infra.setting_sections.notifications import NotifySettings
from infra.setting_sections.processes import (
    DebugSettings,
    GatewaySettings,
    HealthSettings,
    ProcessSettings,
    RunnerSettings,
    UpgradeSettings,
)
from infra.setting_sections.storage import KafkaSettings, LogSettings, S3Settings

_YES = frozenset({"true", "1", "yes", "on", "t", "y"})


class InvalidSettingsError(ValueError):
    """Settings that can't be used; its text names each, and where it stands.

    `as_json` is True where logs were to be JSON.
    """

    as_json: bool = False


class Settings(BaseSettings):
    """Everything that can be set: FLIGHTLOG_* with `__` between levels, or TOML."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
    )

    data_dir: Path = Field(
        Path("~/.flightlog"),
        validate_default=True,
        description="Folder of the engine's data.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    grpc_port: int = Field(30080, ge=0, le=65535, description="Port of the gRPC API.")
    http_port: int = Field(
        30081, ge=0, le=65535, description="Port of the REST API and of blobs."
    )
    plugin: Literal["process", "echo"] = Field(
        "process",
        description="What runs tasks: processes of this machine, or an echo of their "
        "inputs.",
    )
    postgres: str = Field(
        "",
        repr=False,
        description="URL of the Postgres; empty: the engine starts an embedded one.",
    )
    blobs: str = Field(
        "",
        description="Where blobs are stored: a folder, or `s3://bucket/prefix`; empty: "
        "below the data folder.",
    )
    domains: tuple[str, ...] = Field(
        ("development", "staging", "production"),
        description="Domains of every project.",
    )
    inline_bytes_max: int = Field(
        16384,
        ge=0,
        description="Largest literals kept in messages; larger ones become blobs.",
    )
    inline_budget_bytes: int = Field(
        16 * 2**20,
        ge=0,
        description="Bytes of outputs that the state of an execution may hold; beyond "
        "that, outputs become blobs, whatever their size.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Lowest level that is logged."
    )
    log_json: bool = Field(default=False, description="Log as JSON lines.")
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
    upgrade: UpgradeSettings = UpgradeSettings()
    health: HealthSettings = HealthSettings()
    notify: NotifySettings = NotifySettings()
    debug: DebugSettings = DebugSettings()

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
        del env_settings, dotenv_settings, file_secret_settings
        environment = setting_names.settings_of(cls, os.environ)
        given = (environment, _file())
        return (
            init_settings,
            *(InitSettingsSource(settings_cls, dict(one)) for one in given),
        )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, given: dict[str, object]) -> dict[str, object]:
        if found := list(renamed(given, os.environ, PREFIX)):
            where = os.environ.get(CONFIG_VARIABLE)
            inside = f" (in {where})" if where and "'" in "".join(found) else ""
            raise ValueError("Renamed settings: " + "; ".join(found) + inside)
        if found := list(setting_names.unknown(cls, os.environ)):
            raise ValueError("; ".join(found))
        return given

    @field_validator("data_dir")
    @classmethod
    def _expanded(cls, value: Path) -> Path:
        try:
            return value.expanduser()
        except RuntimeError:
            raise ValueError(
                f"Expected a home folder for {value}, but this user has none; set "
                "FLIGHTLOG_DATA_DIR"
            ) from None

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


def load(options: Mapping[str, Any]) -> Settings:
    """Return the settings; options override the environment, and that the file.

    Raises InvalidSettingsError.
    """
    try:
        return Settings(**options)
    except InvalidSettingsError as invalid:
        invalid.as_json = _wants_json({})
        raise
    except ValidationError as error:
        found = setting_errors.explain(
            error,
            Settings,
            options=options,
            environment=os.environ,
            file=os.environ.get(CONFIG_VARIABLE, ""),
        )
        refusal = InvalidSettingsError("\n  ".join(("", *found)).strip())
        refusal.as_json = _wants_json(_file())
        raise refusal from error


def _wants_json(file: Mapping[str, object]) -> bool:
    given = {**file, **setting_names.settings_of(Settings, os.environ)}
    return str(given.get("log_json", "")).lower() in _YES


def _file() -> dict[str, object]:
    """Return what the TOML file has; raises InvalidSettingsError, FileNotFoundError."""
    named = os.environ.get(CONFIG_VARIABLE)
    if not named:
        return {}
    path = Path(named)
    try:
        path = path.expanduser()
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"Expected a TOML file at {path} ({CONFIG_VARIABLE}), but there is none"
        ) from None
    except RuntimeError as error:
        why = str(error)
    except OSError as error:
        why = f"it can't be read: {error.strerror}"
    except UnicodeDecodeError as error:
        why = f"it isn't UTF-8 from byte {error.start} on"
    except tomllib.TOMLDecodeError as error:
        why = str(error)
    raise InvalidSettingsError(
        f"Expected a TOML file at {path} ({CONFIG_VARIABLE}), but: {why}"
    )
