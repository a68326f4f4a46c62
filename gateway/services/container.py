"""What every handler of the door is given."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.services.compile_pool import Compiling
from gateway.services.concurrency import ConcurrencyLimits
from gateway.services.redrive import Redrive
from gateway.services.submit import Submit
from infra.blobs.files import Blobs
from infra.blobs.signing import Links, Signer
from infra.clock import Clock
from infra.eventlog.contract import Log
from infra.eventlog.event_store import EventStore
from infra.postgres.pool import Pool
from infra.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The adapters, the one way to submit commands, and what the door knows itself."""

    settings: Settings
    clock: Clock
    pool: Pool
    blobs: Blobs
    signer: Signer
    links: Links
    store: EventStore
    log: Log
    submit: Submit
    redrive: Redrive
    compiling: Compiling = field(default_factory=Compiling)
    limits: ConcurrencyLimits = field(default_factory=ConcurrencyLimits)
