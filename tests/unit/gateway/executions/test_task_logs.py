"""Logs of attempts in the blob store: that of the last run is shown."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.executions.task_logs import AttemptLogs, log_url
from infra.blobs.files import FileBlobs
from schemas.ids import ExecutionRef

INPUTS = "metadata/n0/data/inputs.pb"
FLAT = "metadata/propeller/p-d-run"


async def _written(blobs: FileBlobs, path: str, modified_s: int = 0) -> str:
    uri = blobs.uri(f"metadata/n0/data/{path}")
    await blobs.put(uri, b"x")
    os.utime(uri, (modified_s, modified_s))
    return uri


async def test_the_log_of_the_last_run_is_found(tmp_path: Path) -> None:
    """An attempt that was dispatched again has one for each run."""
    blobs = FileBlobs(tmp_path)
    await _written(blobs, "0/1-r2/log.txt", modified_s=5)
    last = await _written(blobs, "0/0-r1/log.txt", modified_s=9)
    await _written(blobs, "1/0-r1/log.txt", modified_s=99)

    assert await AttemptLogs(blobs).find(INPUTS, 0) == last


async def test_other_files_of_an_attempt_are_no_logs(tmp_path: Path) -> None:
    """Outputs, and files deeper down that a task named so itself."""
    blobs = FileBlobs(tmp_path)
    await _written(blobs, "0/0-r1/outputs.pb")
    await _written(blobs, "0/0-r1/own/log.txt")
    await _written(blobs, "0/log.txt")

    assert await AttemptLogs(blobs).find(INPUTS, 0) is None


async def test_a_node_without_a_path_of_its_own_has_no_log(tmp_path: Path) -> None:
    """Elements of an array may have none; nor has a path outside the store."""
    blobs = FileBlobs(tmp_path)

    assert await AttemptLogs(blobs).find("", 0) is None
    assert await AttemptLogs(blobs).find("../../inputs.pb", 0) is None


async def test_logs_of_one_folder_are_told_apart(tmp_path: Path) -> None:
    """Those of other nodes and attempts, and other files, lie beside them."""
    blobs, inputs = FileBlobs(tmp_path), f"{FLAT}/n0/inputs.pb"
    written = {
        name: await blobs.put(blobs.uri(f"{FLAT}/{name}"), b"x")
        for name in (
            "n0.0.0-r1.log.txt", "n0.0.1-r2.log.txt", "n0.10.0-r1.log.txt",
            "n0-0.0.0-r1.log.txt", "n0.0.1-r2.outputs.pb", "n0.0.1-r2/log.txt",
            "n0.0.1-r2/own.log.txt", "n0.0.1-r2/own.0-r.log.txt",
        )
    }  # fmt: skip
    last = written["n0.0.1-r2.log.txt"].uri
    for blob in written.values():
        os.utime(blob.uri, (9, 9))
    os.utime(last, (5, 5))
    os.utime(written["n0.0.0-r1.log.txt"].uri, (3, 3))

    for logs in (AttemptLogs(blobs), AttemptLogs(blobs, of_many=True)):
        assert await logs.find(inputs, 0) == last
        assert await logs.find(inputs, 10) == written["n0.10.0-r1.log.txt"].uri
        assert await logs.find(inputs, 1) is None


def test_a_link_names_the_attempt() -> None:
    """It is what the REST route answers."""
    ref = ExecutionRef(project="p", domain="d", name="run")

    assert log_url("http://h", ref, "n0", 2) == "http://h/logs/p/d/run/n0/2"
