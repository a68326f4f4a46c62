"""The log of an attempt: where it is written, and when it is stored."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from infra.blobs.files import FileBlobs
from tests.support.flytekit import tasks as t
from workers.plugins.process.attempt_log import AttemptLog


async def test_where_blobs_are_files_it_is_the_blob(tmp_path: Path) -> None:
    """Nothing is copied, and its end can be read."""
    blobs = FileBlobs(tmp_path / "blobs")
    work = t.work_of(t.dispatch(t.container_task([])), blobs)
    log = AttemptLog.of(work, tmp_path / "local")
    assert log.tail() == ""
    await blobs.put(log.uri, b"x" * 5000 + b" end")
    await log.store(blobs, 10)

    assert str(log.path) == log.uri == f"{work.output_prefix}.log.txt"
    assert log.tail().endswith("x end")
    assert len(log.tail()) == 4000


@pytest.mark.parametrize("text", [b"", b"\n", b" \n\n"])
@pytest.mark.parametrize("is_blob", [True, False])
async def test_a_log_without_a_word_is_not_kept(
    tmp_path: Path, text: bytes, *, is_blob: bool
) -> None:
    """Neither as a blob nor locally: flytekit begins each log with an empty line."""
    blobs = FileBlobs(tmp_path / "blobs")
    uri = blobs.uri("out/log.txt")
    log = AttemptLog(Path(uri) if is_blob else tmp_path / "local" / "log.txt", uri)
    log.create()
    log.path.write_bytes(text)
    await log.store(blobs, 100)

    assert await blobs.size(uri) is None
    assert not log.path.exists()


async def test_elsewhere_a_local_file_is_stored_at_the_end(tmp_path: Path) -> None:
    """The local folder is removed, also if the log is too large to be stored."""
    blobs = FileBlobs(tmp_path / "blobs")
    work = t.work_of(t.dispatch(t.container_task([])), blobs)
    remote = replace(work, output_prefix="s3://bucket/out")
    local = AttemptLog.of(remote, tmp_path / "local")
    for limit, stored in ((3, None), (100, 5)):
        log = AttemptLog(local.path, blobs.uri("out/log.txt"))
        log.path.parent.mkdir()
        log.path.write_bytes(b"hello")
        await log.store(blobs, limit)
        assert await blobs.size(log.uri) == stored
        assert not log.path.parent.exists()

    assert local.uri == "s3://bucket/out/log.txt"
    assert local.path == tmp_path / "local" / "log.txt"
