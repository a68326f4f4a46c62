"""An S3 that loses blobs: a clear word in the right place, and work that goes on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flytekit.exceptions.base import FlyteException
from flytekit.remote import FlyteRemote
from minio import Minio

from tests.e2e.conftest import client, register
from tests.e2e.running import finish, start
from tests.support.harness.distributed import PROPELLER, Distributed, distributed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
FLOW = "shapes_flow.inner"
SUCCEEDED, FAILED = 4, 6


@pytest.fixture(scope="module")
def roles() -> Iterator[Distributed]:
    """One process of each role; values aren't kept inline."""
    with distributed(FLIGHTLOG_INLINE_BYTES_MAX="0") as found:
        yield found


@pytest.fixture(scope="module")
def remote(roles: Distributed, tmp_path_factory: pytest.TempPathFactory) -> FlyteRemote:
    """The real client, of an engine that knows flows and has run none."""
    register(roles, tmp_path_factory.mktemp("flows"), "shapes_flow.py")
    return client(roles)


@contextmanager
def lost(roles: Distributed, part: str) -> Iterator[str]:
    """Let S3 lose what has this in its name; give one of them, and bring all back."""
    s3 = roles.outside.s3
    client = Minio(
        s3.endpoint.partition("://")[2],
        access_key=s3.access_key, secret_key=s3.secret_key, secure=False,
    )  # fmt: skip
    bucket = roles.env["FLIGHTLOG_BLOBS"].split("/")[2]
    found = [o.object_name for o in client.list_objects(bucket, recursive=True)]
    gone = {n: client.get_object(bucket, n).read() for n in found if n and part in n}
    assert gone
    for name in gone:
        client.remove_object(bucket, name)
    try:
        yield next(iter(gone))
    finally:
        for name, data in gone.items():
            client.put_object(bucket, name, io.BytesIO(data), len(data))


def test_lost_code_fails_what_needs_it(roles: Distributed, remote: FlyteRemote) -> None:
    """The task tells which bundle isn't there; with it back, the next one runs."""
    with lost(roles, ".tar.gz") as name:
        done = finish(remote, start(remote, FLOW, a=4))
    assert done.closure.phase == FAILED
    assert name in done.closure.error.message
    assert "there is none" in done.closure.error.message
    assert finish(remote, start(remote, FLOW, a=4)).closure.phase == SUCCEEDED


def test_a_lost_closure_refuses_what_is_created(
    roles: Distributed, remote: FlyteRemote
) -> None:
    """Nothing begins half-done; the creation lies with the dead letters meanwhile."""
    (propeller,) = roles.of(PROPELLER)
    propeller.stop()
    propeller.start()
    propeller.wait()
    with lost(roles, f"metadata/admin/flytesnacks/development/{FLOW}/") as name:
        with pytest.raises(FlyteException, match="there is none"):
            start(remote, FLOW, a=4)
        listed = roles.flightlog("dead-letters", "list", "--json").stdout
        assert name in listed
    assert finish(remote, start(remote, FLOW, a=4)).closure.phase == SUCCEEDED


def test_lost_outputs_are_told_to_who_asks(
    roles: Distributed, remote: FlyteRemote
) -> None:
    """The execution is served, its outputs are refused by name until they are back."""
    done = finish(remote, start(remote, FLOW, a=4))
    told = remote.client.get_execution_data(done.id).full_outputs
    with lost(roles, f"{done.id.name}/") as name:
        assert remote.client.get_execution(done.id).closure.phase == SUCCEEDED
        with pytest.raises(FlyteException, match=f"{done.id.name}.* there is none"):
            remote.client.get_execution_data(done.id)
        assert done.id.name in name
    assert remote.client.get_execution_data(done.id).full_outputs == told
