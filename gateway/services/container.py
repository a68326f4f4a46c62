"""What every handler of the gateway is given."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.services.compile_pool import CompilePool
from gateway.services.concurrency import ConcurrencyLimits
from gateway.services.redrive import Redrive
from gateway.services.registry_store import RegistryStore
from gateway.services.submit import Submit
from infra.blobs.files import Blobs
from infra.blobs.signing import Links, Signer
from infra.clock import Clock
from infra.eventlog.contract import Log
from infra.postgres.pool import Pool
from infra.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The adapters, the one way to submit commands, and what the process remembers."""

    settings: Settings
    clock: Clock
    pool: Pool
    blobs: Blobs
    signer: Signer
    links: Links
    store: RegistryStore
    log: Log
    submit: Submit
    redrive: Redrive
    compile_pool: CompilePool = field(default_factory=CompilePool)
    limits: ConcurrencyLimits = field(default_factory=ConcurrencyLimits)
