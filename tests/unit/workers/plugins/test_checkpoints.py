"""Which checkpoint a run resumes from: the newest that exists."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from infra.blobs.files import FileBlobs
from tests.support.flytekit import tasks as t
from workers.plugins.plugin import Work
from workers.plugins.process.checkpoints import with_newest_checkpoint


def _work(blobs: FileBlobs, **fields: object) -> Work:
    task = t.dispatch(t.container_task([]), **fields)
    before = blobs.uri("raw/zz/before/_flytecheckpoints")
    return replace(t.work_of(task, blobs), previous_checkpoint=before)


async def test_a_checkpoint_that_was_never_written_is_not_used(tmp_path: Path) -> None:
    """Flytekit would fail on it; local paths outside of the store are checked too."""
    blobs = FileBlobs(tmp_path)
    outside = str(tmp_path.parent / "elsewhere")
    work = _work(blobs, attempt=1)

    assert (await with_newest_checkpoint(work, blobs)).previous_checkpoint is None
    work = replace(work, previous_checkpoint=outside)
    assert (await with_newest_checkpoint(work, blobs)).previous_checkpoint is None
    work = replace(work, previous_checkpoint="gs://elsewhere")
    assert (
        await with_newest_checkpoint(work, blobs)
    ).previous_checkpoint == "gs://elsewhere"


async def test_a_lost_run_of_the_same_attempt_got_further(tmp_path: Path) -> None:
    """Its checkpoint is preferred to the earlier attempt's, for a second run only."""
    blobs = FileBlobs(tmp_path)
    first = _work(blobs, attempt=1)
    again = _work(blobs, attempt=1, dispatch_no=1)
    await blobs.put(f"{first.previous_checkpoint}/a", b"1")
    assert (await with_newest_checkpoint(again, blobs)) == again

    await blobs.put(f"{first.checkpoint}/a", b"2")
    assert (await with_newest_checkpoint(first, blobs)) == first
    assert (
        await with_newest_checkpoint(again, blobs)
    ).previous_checkpoint == again.checkpoint
