"""The probe of an S3: whether the bucket of blobs is there."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from infra.blobs.s3 import new_client, translated_errors
from infra.errors import PermanentError
from infra.setting_sections.storage import S3Settings

_TIMEOUT_S = 4.0


class S3Probe:
    """Asks for the bucket, over a connection of its own and without retries."""

    def __init__(self, root: str, settings: S3Settings) -> None:
        """Prepare for the store's address, `s3://bucket/prefix`."""
        self._root, self._bucket = root, urlsplit(root).netloc
        impatient = {"timeout_s": _TIMEOUT_S, "retries": 0, "connections": 1}
        self._client = new_client(
            settings.model_copy(update=impatient), settings.endpoint
        )
        self._thread = ThreadPoolExecutor(1, "s3-probe")

    async def check(self) -> None:
        """Return if the bucket is there; raises InfraError that says why not."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._check)

    def _check(self) -> None:
        with translated_errors(self._root):
            is_there = self._client.bucket_exists(self._bucket)
        if not is_there:
            raise PermanentError(f"there is no bucket {self._bucket!r}")

    async def close(self) -> None:
        """Stop the thread; connections end with the process."""
        self._thread.shutdown(wait=False, cancel_futures=True)
