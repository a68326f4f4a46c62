"""What a run leaves on a store of files: only what is of use, in one folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from infra.blobs.files import FileBlobs
from tests.integration.test_process_plugin import new_plugin
from tests.support.flytekit import tasks as t
from workers.plugins.plugin import Failed, Result, Succeeded, Work
from workers.plugins.process.plugin import ProcessPlugin

FOLDER = "metadata/propeller/p-development-x"
OLDER = f"{FOLDER}/n0/data"
SOURCE = """
import time
from pathlib import Path
from flytekit import Deck, task

@task
def silent(a: int) -> int:
    return a

@task
def fails(a: int) -> int:
    raise ValueError(a)

@task
def waits(a: int) -> int:
    Path("here").touch()
    time.sleep(600)
    return a

@task(enable_deck=True)
def shows(a: int) -> int:
    Deck("mine", "<p>here</p>")
    return a
"""


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    """Return an empty store."""
    return FileBlobs(tmp_path / "blobs")


@pytest.fixture
def bundle(tmp_path: Path, blobs: FileBlobs) -> Path:
    """Return the tasks' code, which lies elsewhere."""
    return t.make_bundle(tmp_path, SOURCE, "leaving")


@pytest.fixture
async def plugin(tmp_path: Path, blobs: FileBlobs) -> AsyncIterator[ProcessPlugin]:
    """Return a plugin that is closed after the test."""
    plugin = new_plugin(tmp_path, blobs)
    yield plugin
    plugin.close()


def work_of(blobs: FileBlobs, bundle: Path, name: str, **more: Any) -> Work:
    """Return the work of a task."""
    return t.work_of(t.dispatch(t.python_task(name, bundle, "leaving"), **more), blobs)


async def run(plugin: ProcessPlugin, work: Work) -> Result:
    """Run an attempt to its end."""
    await plugin.start(work)
    try:
        return await plugin.watch(work)
    finally:
        await plugin.finalize(work)


def left(blobs: FileBlobs) -> list[str]:
    """Return the files and folders that are left in the store, relative to it."""
    found = (Path(blobs.root) / "metadata").rglob("*")
    return sorted(str(path.relative_to(blobs.root)) for path in found)


async def test_a_silent_task_leaves_its_outputs(
    plugin: ProcessPlugin, blobs: FileBlobs, bundle: Path
) -> None:
    """One file in the folder of its execution: inputs are in the events."""
    result = await run(plugin, work_of(blobs, bundle, "silent"))

    assert isinstance(result, Succeeded)
    assert left(blobs) == [
        "metadata/propeller", FOLDER, f"{FOLDER}/n0.0.0-test.outputs.pb",
    ]  # fmt: skip
    assert result.outputs.uri == blobs.uri(f"{FOLDER}/n0.0.0-test.outputs.pb")
    assert await blobs.get(result.outputs.uri) == result.outputs.inline


async def test_a_failed_task_leaves_log_and_error(
    plugin: ProcessPlugin, blobs: FileBlobs, bundle: Path
) -> None:
    """Its folder is removed."""
    result = await run(plugin, work_of(blobs, bundle, "fails"))

    assert isinstance(result, Failed)
    assert left(blobs)[2:] == [
        f"{FOLDER}/n0.0.0-test.error.pb", f"{FOLDER}/n0.0.0-test.log.txt",
    ]  # fmt: skip


async def test_an_aborted_task_leaves_nothing(
    plugin: ProcessPlugin, blobs: FileBlobs, bundle: Path, tmp_path: Path
) -> None:
    """It has written nothing: the folder of its execution is removed, too."""
    work = work_of(blobs, bundle, "waits")
    await plugin.start(work)
    async with asyncio.timeout(20):
        while not list((tmp_path / "bundles").rglob("here")):
            await asyncio.sleep(0.02)
    assert left(blobs)[2:] == [f"{FOLDER}/n0.0.0-test.log.txt"]
    await plugin.abort(work)
    await plugin.finalize(work)

    assert left(blobs) == ["metadata/propeller"]
    assert not list((tmp_path / "bundles" / "scratch").iterdir())


async def test_what_others_know_the_address_of_stays(
    plugin: ProcessPlugin, blobs: FileBlobs, bundle: Path
) -> None:
    """A deck is read where it was said to be before it was written."""
    work = work_of(blobs, bundle, "shows")
    template = t.python_task("shows", bundle, "leaving")
    template.metadata.generates_deck.value = True
    data = template.SerializeToString()
    work = replace(work, dispatch=replace(work.dispatch, template=data))
    result = await run(plugin, work)

    assert isinstance(result, Succeeded)
    assert result.deck_uri == f"{work.output_prefix}/deck.html"
    assert f"{FOLDER}/n0.0.0-test/deck.html" in left(blobs)
    assert f"{FOLDER}/n0.0.0-test.outputs.pb" in left(blobs)


async def test_runs_that_share_a_folder_do_not_meet(
    plugin: ProcessPlugin, blobs: FileBlobs, bundle: Path
) -> None:
    """Those that end remove what is empty while others begin."""
    works = [
        work_of(blobs, bundle, "silent", node_id=f"n{node}", attempt=attempt)
        for node in range(4)
        for attempt in range(5)
    ]
    results = await asyncio.gather(*(run(plugin, work) for work in works))

    assert {type(result) for result in results} == {Succeeded}
    assert len(left(blobs)) == 2 + len(works)


async def test_by_older_rules_results_stay_in_folders(
    plugin: ProcessPlugin, blobs: FileBlobs, bundle: Path
) -> None:
    """An execution that began by them keeps its paths."""
    paths = {"input_path": f"{OLDER}/inputs.pb", "output_path": f"{OLDER}/0"}
    result = await run(plugin, work_of(blobs, bundle, "silent", **paths))

    assert isinstance(result, Succeeded)
    assert result.outputs.uri == blobs.uri(f"{OLDER}/0/0-test/outputs.pb")
    assert await blobs.size(result.outputs.uri)
