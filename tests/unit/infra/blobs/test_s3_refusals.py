"""What S3's refusals tell: a clock that is off, a bucket that is missing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.blobs.files import BlobNotFoundError
from infra.blobs.s3 import S3Blobs
from infra.errors import PermanentError
from infra.setting_sections.storage import S3Settings


def _date(ahead: timedelta) -> str:
    return format_datetime(datetime.now(UTC) + ahead, usegmt=True)


@contextmanager
def refusing(status: int, code: str, ahead: timedelta) -> Iterator[S3Blobs]:
    """An S3 that refuses everything, and whose clock is ahead of this machine's."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(status)
            self.send_header("Date", _date(ahead))
            self.end_headers()

        def do_GET(self) -> None:
            body = f"<Error><Code>{code}</Code></Error>".encode()
            self.send_response_only(status)
            self.send_header("Date", _date(ahead))
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = S3Settings(
        endpoint=f"http://127.0.0.1:{server.server_port}",
        access_key="a", secret_key="b", retries=0,
    )  # fmt: skip
    try:
        yield S3Blobs("s3://bucket", settings)
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        (timedelta(hours=1), "but it is 60 minutes behind"),
        (timedelta(hours=-1), "but it is 60 minutes ahead"),
        (timedelta(minutes=1), "AccessDenied"),
    ],
)
async def test_a_clock_that_is_off(ahead: timedelta, told: str) -> None:
    """S3 says AccessDenied to HEAD; its own clock is in the answer."""
    with (
        refusing(403, "RequestTimeTooSkewed", ahead) as blobs,
        pytest.raises(PermanentError, match=told),
    ):
        await blobs.open()


async def test_a_clock_that_is_off_while_it_runs() -> None:
    """A request that has an answer in XML tells the same."""
    with (
        refusing(403, "RequestTimeTooSkewed", timedelta(hours=2)) as blobs,
        pytest.raises(PermanentError, match="but it is 120 minutes behind"),
    ):
        await blobs.get("s3://bucket/key")


async def test_a_bucket_that_is_missing() -> None:
    """The bucket is named, not a blob."""
    with (
        refusing(404, "NoSuchBucket", timedelta()) as blobs,
        pytest.raises(BlobNotFoundError, match="Expected the bucket of 's3://bucket/k"),
    ):
        await blobs.get("s3://bucket/key")
