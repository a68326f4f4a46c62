"""Which checkpoint a run is given: the newest that is there."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from infra.blobs.files import FileBlobs
from tests.support.flytekit import tasks as t
from workers.plugins.plugin import Work
from workers.plugins.process.checkpoints import resuming


def _work(blobs: FileBlobs, **fields: object) -> Work:
    task = t.dispatch(t.container_task([]), **fields)
    before = blobs.uri("raw/zz/before/_flytecheckpoints")
    return replace(t.work_of(task, blobs), previous_checkpoint=before)


async def test_a_checkpoint_that_was_never_written_is_none(tmp_path: Path) -> None:
    """Flytekit would fail on it; nor is one outside of the store taken on trust."""
    blobs = FileBlobs(tmp_path)
    outside = str(tmp_path.parent / "elsewhere")
    work = _work(blobs, attempt=1)

    assert (await resuming(work, blobs)).previous_checkpoint == ""
    work = replace(work, previous_checkpoint=outside)
    assert (await resuming(work, blobs)).previous_checkpoint == ""
    work = replace(work, previous_checkpoint="gs://elsewhere")
    assert (await resuming(work, blobs)).previous_checkpoint == "gs://elsewhere"


async def test_a_lost_run_of_the_same_attempt_got_further(tmp_path: Path) -> None:
    """Its own checkpoint wins over the attempt's before it, for a second run only."""
    blobs = FileBlobs(tmp_path)
    first = _work(blobs, attempt=1)
    again = _work(blobs, attempt=1, dispatch_no=1)
    await blobs.put(f"{first.previous_checkpoint}/a", b"1")
    assert (await resuming(again, blobs)) == again

    await blobs.put(f"{first.checkpoint}/a", b"2")
    assert (await resuming(first, blobs)) == first
    assert (await resuming(again, blobs)).previous_checkpoint == again.checkpoint
