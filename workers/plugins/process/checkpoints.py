"""Checkpoints: what an earlier run had done, given to the one that goes on."""

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


class Listed(Protocol):
    """Where checkpoints lie."""

    async def list(self, prefix: str) -> Sequence[BlobInfo]:
        """Return the blobs below a folder of the store; raises PathRefused."""
        ...


async def resuming(work: Work, blobs: Listed) -> Work:
    """Return the work with the newest checkpoint that is there, or with none.

    Flytekit can't read a checkpoint that was never written. A lost run of the same
    attempt may have got further than the attempt before it.
    """
    is_again = work.dispatch.dispatch_no > 0
    places = [work.checkpoint] if is_again else []
    if work.previous_checkpoint:
        places.append(work.previous_checkpoint)
    for place in places:
        if await _is_there(place, blobs):
            return replace(work, previous_checkpoint=place)
    return replace(work, previous_checkpoint="")


async def _is_there(place: str, blobs: Listed) -> bool:
    try:
        return bool(await blobs.list(place))
    except InvalidBlobPathError:
        # Outside of the store: elsewhere on this machine, or the task must look itself.
        is_local = place.startswith("/")
        return not is_local or await asyncio.to_thread(Path(place).exists)
    except InfraError as error:
        log_.warning("checkpoint_not_found", place=place, error=str(error))
        return False
