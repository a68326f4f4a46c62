"""Recovery and deletion where parts are processes of their own, on Kafka and S3."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flytekit.exceptions.user import FlyteEntityNotExistException

from infra.blobs.files import BlobInfo
from infra.blobs.s3 import S3Blobs
from infra.setting_sections.storage import S3Settings
from tests.e2e.conftest import client, register
from tests.e2e.test_recover import NODE_RECOVERED, phases, recovered_nested
from tests.support.harness.distributed import Distributed, distributed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
FLOW, SWEPT_S = "recover_flow.py", 60.0


@pytest.fixture
def roles() -> Iterator[Distributed]:
    """One process of each role, that sweep often."""
    with distributed(FLIGHTLOG_RETENTION__INTERVAL_S="0.5") as found:
        yield found


def _blobs(roles: Distributed) -> list[BlobInfo]:
    """Return what lies on S3 of executions."""
    name = "FLIGHTLOG_S3__"
    given = {k.removeprefix(name).lower(): v for k, v in roles.env.items()}
    fields = {k: given[k] for k in ("endpoint", "access_key", "secret_key")}

    async def listed() -> list[BlobInfo]:
        blobs = S3Blobs(roles.env["FLIGHTLOG_BLOBS"], S3Settings(**fields))
        try:
            found = [
                *await blobs.list(blobs.uri("metadata/propeller")),
                *await blobs.list(blobs.uri("raw")),
            ]
        finally:
            await blobs.close()
        return found

    return asyncio.run(listed())


def test_recovery_and_deletion(roles: Distributed, tmp_path: Path) -> None:
    """A failed child is recovered; then all goes, with what lies on S3."""
    register(roles, tmp_path, FLOW)
    remote = client(roles)
    failed, done = recovered_nested(remote, tmp_path, "family")
    assert phases(done)["n0"] == NODE_RECOVERED
    assert _blobs(roles)

    roles.env["FLIGHTLOG_GATEWAY__PUBLIC_URL"] = roles.http
    for execution in (failed, done):
        said = roles.flightlog("delete", execution.id.name)
        assert said.returncode == 0, said.stdout + said.stderr
    until = time.monotonic() + SWEPT_S
    while (left := _blobs(roles)) and time.monotonic() < until:
        time.sleep(0.5)
    assert left == []
    with pytest.raises(FlyteEntityNotExistException):
        remote.client.get_execution(done.id)
    checked = roles.flightlog("verify")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with pytest.raises(FlyteEntityNotExistException):
        remote.client.recover_execution(failed.id)
