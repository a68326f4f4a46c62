"""Which dependencies a process probes for its health."""

from __future__ import annotations

from pathlib import Path

from gateway.bootstrap.data_dir import DataDir
from infra.blobs.addresses import SCHEME
from infra.errors import Dependency
from infra.probes.disk_probe import DiskProbe
from infra.probes.postgres_probe import PostgresProbe
from infra.probes.prober import Probe, Prober
from infra.settings import Settings


def prober(settings: Settings, data: DataDir, postgres: str) -> Prober:
    """Return what probes all that a process with these settings needs."""
    folders = [data.path]
    probes: dict[Dependency, Probe] = {Dependency.POSTGRES: PostgresProbe(postgres)}
    if settings.kafka.bootstrap_servers:
        from infra.eventlog.kafka.topics import ALL  # noqa: PLC0415 - heavy
        from infra.probes.kafka_probe import KafkaProbe  # noqa: PLC0415 - heavy

        probes[Dependency.KAFKA] = KafkaProbe(settings.kafka, ALL)
    if settings.blobs.startswith(SCHEME):
        from infra.probes.s3_probe import S3Probe  # noqa: PLC0415 - heavy

        probes[Dependency.BLOBS] = S3Probe(settings.blobs, settings.s3)
    elif settings.blobs:
        folders.append(Path(settings.blobs).expanduser().resolve())
    room = settings.health.disk_free_bytes_min
    probes[Dependency.DISK] = DiskProbe(folders, room)
    return Prober(probes=probes, settings=settings.health)
