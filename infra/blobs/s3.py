"""The blob store on S3: objects below a prefix of one bucket."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.response import BaseHTTPResponse

from infra.blobs.addresses import SCHEME
from infra.blobs.files import (
    CHUNK_BYTES,
    READ_BYTES_MAX,
    BlobInfo,
    BlobNotFoundError,
    BlobTooLargeError,
    InvalidBlobPathError,
    is_within,
    write_chunks,
)
from infra.blobs.signing import Grant
from infra.clock import SYSTEM_CLOCK
from infra.errors import Dependency, PermanentError, TransientError
from infra.setting_sections.storage import S3Settings
from schemas.values import Blob

_NOT_FOUND = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchBucket", "404"})
_TRANSIENT = frozenset(
    {
        "SlowDown",
        "ServiceUnavailable",
        "InternalError",
        "RequestTimeout",
        "XMinioServerNotInitialized",
        "XMinioStorageFull",
        "XMinioWriteQuorum",
        "XMinioReadQuorum",
        "500",
        "503",
        "507",
    }
)
_NO_BUCKET = "NoSuchBucket"
_REFUSED = frozenset({"AccessDenied", "RequestTimeTooSkewed", "RequestExpired", "403"})
_SKEW_S_MIN = 14 * 60
"""S3 refuses requests whose time is a quarter of an hour off; HEAD doesn't say why."""
_SPOOL_BYTES = 8 << 20
_PART_BYTES = 16 << 20
_T = TypeVar("_T")


def new_client(settings: S3Settings, endpoint: str) -> Minio:
    """Return a client of an endpoint, a URL such as `http://127.0.0.1:9000`."""
    at = urlsplit(endpoint)
    if at.scheme not in {"http", "https"} or not at.netloc:
        raise PermanentError(f"Expected an http(s) URL of an S3, but got {endpoint!r}")
    pool = urllib3.PoolManager(
        maxsize=settings.connections,
        timeout=urllib3.Timeout(connect=settings.timeout_s, read=settings.timeout_s),
        retries=urllib3.Retry(
            total=settings.retries, backoff_factor=0.2, status_forcelist=[500, 502, 504]
        ),
        cert_reqs="CERT_REQUIRED",
        ca_certs=settings.ca_file or certifi.where(),
    )
    return Minio(
        at.netloc,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        secure=at.scheme == "https",
        region=settings.region,  # so that signing needs no request
        http_client=pool,
    )


class S3Blobs:
    """Blobs as objects below `s3://bucket/prefix`; any bucket can be read.

    Raises TransientError when S3 can't be reached or is busy, PermanentError when it
    refuses a request.
    """

    def __init__(self, root: str, settings: S3Settings) -> None:
        """Store blobs below this address; `open` creates a missing bucket."""
        self.root = root.rstrip("/")
        self._bucket, _ = _split(self.root + "/_")
        self._client = new_client(settings, settings.endpoint)
        self._threads = ThreadPoolExecutor(settings.connections, "s3")

    async def open(self) -> None:
        """Create the bucket, if it is missing."""

        def create() -> None:
            if not self._client.bucket_exists(self._bucket):
                try:
                    self._client.make_bucket(self._bucket)
                except S3Error as error:
                    if error.code != "BucketAlreadyOwnedByYou":
                        raise

        await self._call(self.root, create)

    async def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def uri(self, relative: str) -> str:
        """Return the address of a path below the root; addresses are returned as is."""
        if relative.startswith("/") or "://" in relative:
            return relative
        return f"{self.root}/{relative}"

    async def put(self, uri: str, data: bytes) -> Blob:
        """Store a blob, all of it or nothing."""
        bucket, key = self._own(uri)

        def store() -> None:
            self._client.put_object(bucket, key, BytesIO(data), len(data))

        await self._call(uri, store)
        return Blob(uri=uri, digest=hashlib.sha256(data).hexdigest(), size=len(data))

    async def put_stream(
        self, uri: str, chunks: AsyncIterable[bytes], limit: int
    ) -> tuple[Blob, bytes]:
        """Store a blob from chunks; also return its MD5. Raises BlobTooLargeError.

        The chunks are collected in a file, so that nothing incomplete is stored.
        """
        bucket, key = self._own(uri)
        with SpooledTemporaryFile(max_size=_SPOOL_BYTES) as part:
            blob, md5 = await write_chunks(uri, chunks, part, limit)
            part.seek(0)
            data = cast("BinaryIO", part)  # it is one, but typed as IO[bytes]

            def store() -> None:
                self._client.put_object(
                    bucket, key, data, blob.size, part_size=_PART_BYTES
                )

            await self._call(uri, store)
        return blob, md5

    async def get(self, uri: str, limit: int | None = None) -> bytes:
        """Return a blob's bytes; raises BlobNotFoundError, BlobTooLargeError."""
        bucket, key = _split(uri)
        bytes_max = READ_BYTES_MAX if limit is None else limit

        def load() -> bytes:
            with _response(self._client.get_object(bucket, key)) as response:
                size = int(response.headers.get("content-length", 0))
                if size > bytes_max:
                    message = f"Expected at most {bytes_max} bytes at {uri}, but there "
                    raise BlobTooLargeError(f"{message}are {size}")
                return bytes(response.read())

        return await self._call(uri, load)

    async def stream(self, uri: str, start: int = 0) -> AsyncIterator[bytes]:
        """Yield a blob's bytes from an offset, in chunks; raises BlobNotFoundError."""
        bucket, key = _split(uri)
        response = await self._call(
            uri, lambda: self._client.get_object(bucket, key, offset=start)
        )
        with _response(response):
            while chunk := await self._call(uri, lambda: response.read(CHUNK_BYTES)):
                yield chunk

    async def size(self, uri: str) -> int | None:
        """Return a blob's size in bytes; None if there is none."""
        if not uri.startswith(SCHEME):
            return None
        bucket, key = _split(uri)
        try:
            found = await self._call(uri, lambda: self._client.stat_object(bucket, key))
        except BlobNotFoundError:
            return None
        return int(found.size or 0)

    async def list(self, prefix: str, beginning: str = "") -> list[BlobInfo]:
        """Return the blobs below a folder; raises InvalidBlobPathError."""
        bucket, key = self._own(f"{prefix.rstrip('/')}/_")
        wanted = key.removesuffix("_") + beginning

        def load() -> list[BlobInfo]:
            return [
                BlobInfo(
                    uri=f"{SCHEME}{bucket}/{item.object_name}",
                    size=item.size or 0,
                    modified_s=item.last_modified.timestamp()
                    if item.last_modified
                    else 0.0,
                )
                for item in self._client.list_objects(bucket, wanted, recursive=True)
            ]

        return await self._call(prefix, load)

    async def local_copy(self, uri: str, folder: Path) -> Path:
        """Return a file with the blob's bytes: a copy in a folder, downloaded once."""
        bucket, key = _split(uri)
        path = folder / hashlib.sha256(uri.encode()).hexdigest()[:24]

        def load() -> Path:
            if path.exists():
                return path
            # The client would take a file away that another copy has just completed.
            part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            try:
                self._client.fget_object(bucket, key, str(part))
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
            return path

        return await self._call(uri, load)

    async def delete(self, uri: str) -> None:
        """Delete a blob, if there is one."""
        bucket, key = self._own(uri)
        await self._call(uri, lambda: self._client.remove_object(bucket, key))

    async def delete_prefix(self, prefix: str) -> None:
        """Delete all blobs below a folder; raises InvalidBlobPathError."""
        for found in await self.list(prefix):
            await self.delete(found.uri)

    async def delete_unfinished(self, before_s: float) -> int:
        """Return 0: S3 has no incomplete objects."""
        del before_s
        return 0

    def _own(self, uri: str) -> tuple[str, str]:
        """Return bucket and key of an address; raises InvalidBlobPathError."""
        if not is_within(uri, self.root):
            message = f"Expected an address below {self.root}, but got {uri!r}"
            raise InvalidBlobPathError(message)
        return _split(uri)

    async def _call(self, uri: str, function: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        with translated_errors(uri):
            return await loop.run_in_executor(self._threads, function)


class S3Links:
    """Signs URLs that S3 itself serves: bytes don't pass through the gateway."""

    def __init__(
        self, settings: S3Settings, now_us: Callable[[], int], root: str
    ) -> None:
        """Sign for the endpoint that clients reach."""
        self._client = new_client(
            settings, settings.public_endpoint or settings.endpoint
        )
        self._now_us = now_us
        self._root = root

    def url(self, grant: Grant) -> str:
        """Return the signed URL of a grant; S3 verifies a Content-MD5 that is sent."""
        if not is_within(grant.uri, self._root):
            raise InvalidBlobPathError(f"Expected an address below {self._root}")
        bucket, key = _split(grant.uri)
        left_s = max(1, (grant.expires_at_us - self._now_us()) // 1_000_000)
        return self._client.get_presigned_url(
            grant.method, bucket, key, expires=timedelta(seconds=left_s)
        )


def _split(uri: str) -> tuple[str, str]:
    bucket, slash, key = uri.removeprefix(SCHEME).partition("/")
    if not uri.startswith(SCHEME) or not bucket or not slash or not key:
        raise BlobNotFoundError(f"Expected an address s3://bucket/key, but got {uri!r}")
    return bucket, key


@contextmanager
def _response(response: BaseHTTPResponse) -> Iterator[BaseHTTPResponse]:
    try:
        yield response
    finally:
        response.close()
        response.release_conn()


def _clock_skew(error: S3Error) -> str:
    """Return how far this machine's clock is off from S3's; empty, if it isn't."""
    try:
        theirs = parsedate_to_datetime(error.response.headers.get("Date", ""))
    except ValueError:
        return ""
    skew_s = SYSTEM_CLOCK.now_us() / 1_000_000 - theirs.timestamp()
    if abs(skew_s) < _SKEW_S_MIN:
        return ""
    return f"{abs(skew_s) / 60:.0f} minutes {'ahead' if skew_s > 0 else 'behind'}"


def _unreachable(uri: str, why: str) -> TransientError:
    message = f"Cannot reach S3 for {uri!r}: {why}"
    return TransientError(message, of=Dependency.BLOBS)


@contextmanager
def translated_errors(uri: str) -> Iterator[None]:
    """Turn the client's errors into the engine's."""
    try:
        yield
    except S3Error as error:
        if error.code in _REFUSED and (skew := _clock_skew(error)):
            raise PermanentError(
                f"Expected this machine's clock to agree with that of S3 for {uri!r}, "
                f"but it is {skew}"
            ) from error
        if error.code == _NO_BUCKET:
            raise BlobNotFoundError(
                f"Expected the bucket of {uri!r} to exist, but it doesn't"
            ) from error
        if error.code in _NOT_FOUND:
            raise BlobNotFoundError(
                f"Expected a blob at {uri!r}, but there is none"
            ) from error
        why = f"{error.code}: {error.message}"
        if error.code in _TRANSIENT:
            raise _unreachable(uri, why) from error
        raise PermanentError(f"Expected S3 to serve {uri!r}, but: {why}") from error
    except (
        urllib3.exceptions.HTTPError,
        ServerError,
        InvalidResponseError,
        OSError,
    ) as error:
        raise _unreachable(uri, str(error)) from error
    except (MinioException, ValueError) as error:  # ValueError: an invalid name
        raise PermanentError(f"Expected S3 to serve {uri!r}, but: {error}") from error
