"""Uploads and downloads: links for one blob, and none that leads elsewhere."""

from __future__ import annotations

import hashlib
from typing import Any

import grpc
import pytest
from flyteidl.service import dataproxy_pb2
from google.protobuf.duration_pb2 import Duration

from schemas.values import Blob
from tests.integration.conftest import refused
from tests.support.harness.gateway_harness import RunningGateway

pytestmark = pytest.mark.integration

DATA = b"some code"
MD5 = hashlib.md5(DATA).digest()


def a_request(**fields: Any) -> Any:
    """Return a request for an upload to flytesnacks, development."""
    place = {"project": "flytesnacks", "domain": "development"}
    return dataproxy_pb2.CreateUploadLocationRequest(**{**place, **fields})


def test_a_link_is_for_one_method_and_blob(gateway: RunningGateway, proxy: Any) -> None:
    """The link puts this content to this address, for an hour."""
    reply = proxy.CreateUploadLocation(a_request(content_md5=MD5, filename="x.tar.gz"))
    token = reply.signed_url.rpartition("/")[2]
    now_us = gateway.services.clock.now_us()
    grant = gateway.services.signer.read(token, "PUT", now_us)
    assert reply.native_url == grant.uri
    assert grant.uri.startswith(f"{gateway.services.blobs.root}/uploads/flytesnacks/")
    assert reply.expires_at.ToMicroseconds() == grant.expires_at_us
    assert 3_590 < (grant.expires_at_us - now_us) / 1e6 <= 3_600
    assert grant.md5


def test_flytekit_gets_its_link(client: Any) -> None:
    """Flytekit's client reads the reply as it is."""
    reply = client.get_upload_signed_url(
        "flytesnacks", "development", content_md5=MD5, filename="x.tar.gz"
    )
    assert reply.signed_url.startswith("http")
    assert reply.native_url.startswith("/")


def test_a_chosen_path_keeps_its_content(gateway: RunningGateway, proxy: Any) -> None:
    """A complete path of the client's choice: the same content again, but no other."""
    request = a_request(filename_root="root", filename="chosen.txt")
    uri = proxy.CreateUploadLocation(request).native_url
    stored: Blob = gateway.run(gateway.services.blobs.put(uri, DATA))
    assert uri == stored.uri
    with refused(grpc.StatusCode.ALREADY_EXISTS, "content_md5"):
        proxy.CreateUploadLocation(request)
    request.content_md5 = MD5
    assert uri == proxy.CreateUploadLocation(request).native_url
    request.content_md5 = hashlib.md5(b"other").digest()
    with refused(grpc.StatusCode.ALREADY_EXISTS, "other content"):
        proxy.CreateUploadLocation(request)


@pytest.mark.parametrize(
    "lifetime",
    [
        Duration(seconds=3_601),
        Duration(seconds=-1),
        Duration(),
        Duration(seconds=2**62),
    ],
)
def test_a_link_does_not_live_for_ever(proxy: Any, lifetime: Duration) -> None:
    """A link lives an hour at most."""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "expires_in"):
        proxy.CreateUploadLocation(a_request(filename_root="r", expires_in=lifetime))


def test_a_short_life(gateway: RunningGateway, proxy: Any) -> None:
    """A request may ask for a short-lived link."""
    reply = proxy.CreateUploadLocation(
        a_request(filename_root="r", expires_in=Duration(seconds=2))
    )
    left_us = reply.expires_at.ToMicroseconds() - gateway.services.clock.now_us()
    assert 0 < left_us <= 2_000_000


def test_downloads_are_of_this_store(gateway: RunningGateway, proxy: Any) -> None:
    """Links to get lead to blobs of this server and nowhere else."""
    root = gateway.services.blobs.root
    reply = proxy.CreateDownloadLocation(
        dataproxy_pb2.CreateDownloadLocationRequest(native_url=f"{root}/data/x")
    )
    assert reply.signed_url
    for url in ("/etc/passwd", f"{root}/../secret", f"{root}//x", root, "s3://b/x", ""):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "of this server"):
            proxy.CreateDownloadLocation(
                dataproxy_pb2.CreateDownloadLocationRequest(native_url=url)
            )
