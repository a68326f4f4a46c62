"""Which dependencies a process probes for its health."""

from __future__ import annotations

from pathlib import Path

from gateway.bootstrap.data_dir import DataDir
from infra.blobs.s3 import SCHEME
from infra.errors import Dependency
from infra.eventlog.kafka.topics import ALL
from infra.probes.disk_probe import DiskProbe
from infra.probes.kafka_probe import KafkaProbe
from infra.probes.postgres_probe import PostgresProbe
from infra.probes.prober import Probe, Prober
from infra.probes.s3_probe import S3Probe
from infra.settings import Settings


def prober(settings: Settings, data: DataDir, postgres: str) -> Prober:
    """Return what probes all that a process with these settings needs."""
    folders = [data.path]
    probes: dict[Dependency, Probe] = {Dependency.POSTGRES: PostgresProbe(postgres)}
    if settings.kafka.bootstrap_servers:
        probes[Dependency.KAFKA] = KafkaProbe(settings.kafka, ALL)
    if settings.blobs.startswith(SCHEME):
        probes[Dependency.BLOBS] = S3Probe(settings.blobs, settings.s3)
    elif settings.blobs:
        folders.append(Path(settings.blobs).expanduser().resolve())
    room = settings.health.disk_free_bytes_min
    probes[Dependency.DISK] = DiskProbe(folders, room)
    return Prober(probes=probes, settings=settings.health)
