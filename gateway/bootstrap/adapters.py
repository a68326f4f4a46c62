"""The adapters that every process has."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.bootstrap.data_dir import DataDir
from infra.blobs.files import Blobs
from infra.clock import Clock
from infra.eventlog.contract import Log
from infra.postgres.format_gate import FormatGate
from infra.postgres.pool import Pool
from infra.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """The adapters of one process, connected."""

    settings: Settings
    clock: Clock
    pool: Pool
    blobs: Blobs
    log: Log
    data: DataDir
    gate: FormatGate
