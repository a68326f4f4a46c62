"""Checkpoints: the one that a run resumes from (ref §6.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import structlog
from msgspec.structs import replace

from infra.blobs.files import BlobInfo, InvalidBlobPathError
from infra.errors import InfraError
from workers.plugins.plugin import Work

log_ = structlog.get_logger(__name__)


class BlobLister(Protocol):
    """The blob store that holds checkpoints."""

    async def list(self, prefix: str) -> Sequence[BlobInfo]:
        """Return the blobs below a prefix; raises InvalidBlobPathError."""
        ...


async def with_newest_checkpoint(work: Work, blobs: BlobLister) -> Work:
    """Return the work with the newest checkpoint that exists, or with none.

    Flytekit can't read a checkpoint that was never written. A lost run of the same
    attempt may have got further than the attempt before it.
    """
    is_again = work.dispatch.dispatch_no > 0
    candidates = [work.checkpoint] if is_again else []
    if work.previous_checkpoint is not None:
        candidates.append(work.previous_checkpoint)
    for uri in candidates:
        if await _exists(uri, blobs):
            return replace(work, previous_checkpoint=uri)
    return replace(work, previous_checkpoint=None)


async def _exists(uri: str, blobs: BlobLister) -> bool:
    try:
        return bool(await blobs.list(uri))
    except InvalidBlobPathError:
        # Outside of the store: a path of this machine, or one that only the task reads.
        is_local = uri.startswith("/")
        return not is_local or await asyncio.to_thread(Path(uri).exists)
    except InfraError as error:
        log_.warning("checkpoint_lookup_failed", uri=uri, error=str(error))
        return False
