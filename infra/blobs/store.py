"""The blob store of the settings, and what signs URLs of its blobs.

The S3 client is imported only where blobs are on S3: it is a good part of a start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from infra.blobs.addresses import SCHEME
from infra.blobs.files import Blobs, FileBlobs
from infra.blobs.signing import Links, Signer
from infra.retry import retry_transient
from infra.settings import Settings


@asynccontextmanager
async def open_blobs(settings: Settings, folder: Path) -> AsyncIterator[Blobs]:
    """Open the blob store; it is `folder` if the settings don't name one.

    Waits for an S3 that can't be reached; raises PermanentError if it refuses.
    """
    if not settings.blobs.startswith(SCHEME):
        yield FileBlobs(_expanded(settings.blobs) if settings.blobs else folder)
        return
    from infra.blobs.s3 import S3Blobs  # noqa: PLC0415 - heavy

    blobs = S3Blobs(settings.blobs, settings.s3)
    try:
        await retry_transient(blobs.open, "blob_store_delayed")
        yield blobs
    finally:
        await blobs.close()


def _expanded(path: str) -> Path:
    return Path(path).expanduser()


def links(
    settings: Settings, blobs: Blobs, signer: Signer, now_us: Callable[[], int]
) -> Links:
    """Return what signs URLs: S3 itself, or the gateway for plain files."""
    if not blobs.root.startswith(SCHEME):
        return signer
    from infra.blobs.s3 import S3Links  # noqa: PLC0415 - heavy

    return S3Links(settings.s3, now_us, blobs.root)
