"""Blobs on S3: objects of one bucket, written whole; large ones pass through files."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from infra.blobs.files import (
    CHUNK_BYTES,
    BlobInfo,
    BlobNotFoundError,
    BlobTooLargeError,
    InvalidBlobPathError,
    is_within,
)
from infra.blobs.signing import Grant
from infra.errors import PermanentError, TransientError
from infra.setting_sections import S3Settings
from schemas.values import Blob

SCHEME = "s3://"
_GONE = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchBucket", "404"})
_PASSING = frozenset(
    {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500"}
)
_SPOOL_BYTES = 8 << 20
_PART_BYTES = 16 << 20
_T = TypeVar("_T")


def client(settings: S3Settings, endpoint: str) -> Minio:
    """Return a client of an endpoint: an URL as `http://127.0.0.1:9000`."""
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
        region=settings.region,  # known, so that signing needs no call
        http_client=pool,
    )


class S3Blobs:
    """Blobs as objects below `s3://bucket/prefix`; reads follow any bucket's address.

    Raises Transient where S3 is away or busy, Permanent where it refuses.
    """

    def __init__(self, root: str, settings: S3Settings) -> None:
        """Keep blobs below this address; `open` makes the bucket if it is missing."""
        self.root = root.rstrip("/")
        self._bucket, _ = _split(self.root + "/_")
        self._client = client(settings, settings.endpoint)
        self._threads = ThreadPoolExecutor(settings.connections, "s3")

    async def open(self) -> None:
        """Make the bucket, if it isn't there."""

        def make() -> None:
            if not self._client.bucket_exists(self._bucket):
                try:
                    self._client.make_bucket(self._bucket)
                except S3Error as error:
                    if error.code != "BucketAlreadyOwnedByYou":
                        raise

        await self._call(self.root, make)

    async def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def uri(self, relative: str) -> str:
        """Return the address of a path below the root; whole addresses pass."""
        if relative.startswith("/") or "://" in relative:
            return relative
        return f"{self.root}/{relative}"

    async def put(self, uri: str, data: bytes) -> Blob:
        """Store a blob whole, or not at all."""
        bucket, key = self._own(uri)

        def store() -> None:
            self._client.put_object(bucket, key, BytesIO(data), len(data))

        await self._call(uri, store)
        return Blob(uri=uri, digest=hashlib.sha256(data).hexdigest(), size=len(data))

    async def put_stream(
        self, uri: str, chunks: AsyncIterable[bytes], limit: int
    ) -> tuple[Blob, bytes]:
        """Store a blob from chunks; also return its MD5. Raises BlobTooLarge.

        The chunks wait in a file until they are whole and good.
        """
        bucket, key = self._own(uri)
        sha, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        with SpooledTemporaryFile(max_size=_SPOOL_BYTES) as part:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    message = f"Expected at most {limit} bytes, but got more"
                    raise BlobTooLargeError(message)
                sha.update(chunk)
                md5.update(chunk)
                await asyncio.to_thread(part.write, chunk)
            part.seek(0)

            def store() -> None:
                self._client.put_object(
                    bucket, key, cast(BinaryIO, part), size, part_size=_PART_BYTES
                )

            await self._call(uri, store)
        return Blob(uri=uri, digest=sha.hexdigest(), size=size), md5.digest()

    async def get(self, uri: str, limit: int | None = None) -> bytes:
        """Return a blob's bytes; raises BlobNotFound, BlobTooLarge."""
        bucket, key = _split(uri)

        def load() -> bytes:
            with _response(self._client.get_object(bucket, key)) as response:
                size = int(response.headers.get("content-length", 0))
                if limit is not None and size > limit:
                    raise BlobTooLargeError(
                        f"Expected at most {limit} bytes at {uri}, but there are {size}"
                    )
                return bytes(response.read())

        return await self._call(uri, load)

    async def stream(self, uri: str, start: int = 0) -> AsyncIterator[bytes]:
        """Return a blob's bytes from an offset, in chunks; raises BlobNotFound."""
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

    async def list(self, prefix: str) -> list[BlobInfo]:
        """Return the blobs whose addresses begin with a folder's."""
        bucket, key = self._own(f"{prefix.rstrip('/')}/_")
        folder = key.removesuffix("_")

        def load() -> list[BlobInfo]:
            return [
                BlobInfo(
                    uri=f"{SCHEME}{bucket}/{item.object_name}",
                    size=item.size or 0,
                    modified_s=item.last_modified.timestamp()
                    if item.last_modified
                    else 0.0,
                )
                for item in self._client.list_objects(bucket, folder, recursive=True)
            ]

        return await self._call(prefix, load)

    async def local_copy(self, uri: str, folder: Path) -> Path:
        """Return a file with the blob's bytes: a copy in a folder, made once."""
        bucket, key = _split(uri)
        path = folder / hashlib.sha256(uri.encode()).hexdigest()[:24]

        def load() -> Path:
            if not path.exists():
                self._client.fget_object(bucket, key, str(path))
            return path

        return await self._call(uri, load)

    async def delete(self, uri: str) -> None:
        """Remove a blob; one that isn't there is fine."""
        bucket, key = self._own(uri)
        await self._call(uri, lambda: self._client.remove_object(bucket, key))

    async def delete_prefix(self, prefix: str) -> None:
        """Remove every blob below a folder of the store; raises PathRefused."""
        for found in await self.list(prefix):
            await self.delete(found.uri)

    async def delete_unfinished(self, before_s: float) -> int:
        """Do nothing: S3 shows no object before it is whole."""
        del before_s
        return 0

    def _own(self, uri: str) -> tuple[str, str]:
        """Return bucket and key of an address in the store; raises PathRefused."""
        if not is_within(uri, self.root):
            message = f"Expected an address below {self.root}, but got {uri!r}"
            raise InvalidBlobPathError(message)
        return _split(uri)

    async def _call(self, uri: str, function: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        with _translated(uri):
            return await loop.run_in_executor(self._threads, function)


class S3Links:
    """Links to objects that S3 itself signs and serves: bytes don't pass through us."""

    def __init__(
        self, settings: S3Settings, now_us: Callable[[], int], root: str
    ) -> None:
        """Sign for the endpoint that clients reach."""
        self._client = client(settings, settings.public_endpoint or settings.endpoint)
        self._now_us = now_us
        self._root = root

    def url(self, grant: Grant) -> str:
        """Return a link for a grant; S3 checks a Content-MD5 that is sent along."""
        if not is_within(grant.uri, self._root):
            raise InvalidBlobPathError(f"Expected an address below {self._root}")
        bucket, key = _split(grant.uri)
        left_s = max(1, (grant.expires_at_us - self._now_us()) // 1_000_000)
        return self._client.get_presigned_url(
            grant.method, bucket, key, expires=timedelta(seconds=left_s)
        )


def task_variables(settings: S3Settings) -> dict[str, str]:
    """Return what flytekit's tasks need to reach this S3 (flytekit S3Config)."""
    return {
        "FLYTE_AWS_ENDPOINT": settings.endpoint,
        "FLYTE_AWS_ACCESS_KEY_ID": settings.access_key,
        "FLYTE_AWS_SECRET_ACCESS_KEY": settings.secret_key,
        "AWS_DEFAULT_REGION": settings.region,
    }


def _split(uri: str) -> tuple[str, str]:
    bucket, slash, key = uri.removeprefix(SCHEME).partition("/")
    if not uri.startswith(SCHEME) or not bucket or not slash or not key:
        raise BlobNotFoundError(f"Expected an address s3://bucket/key, but got {uri!r}")
    return bucket, key


@contextmanager
def _response(response: Any) -> Iterator[Any]:
    try:
        yield response
    finally:
        response.close()
        response.release_conn()


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Say in our words what S3 said."""
    try:
        yield
    except S3Error as error:
        if error.code in _GONE:
            raise BlobNotFoundError(
                f"Expected a blob at {uri!r}, but there is none"
            ) from error
        kind = TransientError if error.code in _PASSING else PermanentError
        raise kind(
            f"Expected S3 to serve {uri!r}, but: {error.code}: {error.message}"
        ) from error
    except (
        urllib3.exceptions.HTTPError,
        ServerError,
        InvalidResponseError,
        OSError,
    ) as error:
        raise TransientError(f"Expected S3 to serve {uri!r}, but: {error}") from error
    except (MinioException, ValueError) as error:  # the latter for a bad name
        raise PermanentError(f"Expected S3 to serve {uri!r}, but: {error}") from error
