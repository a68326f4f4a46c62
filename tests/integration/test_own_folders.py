"""The folders of a task: its code is there, and nothing of other tasks."""

from __future__ import annotations

from pathlib import Path

from infra.blobs.files import FileBlobs
from tests.integration.test_process_plugin import new_plugin, run_task
from tests.support.flytekit import tasks as t
from workers.plugins.plugin import Succeeded

SOURCE = """
import os
from flytekit import task

@task
def leave_mark(a: int) -> int:
    found = os.path.exists("mark")
    with open("mark", "w") as mark:
        mark.write("mine")
    return 10 * found + os.path.exists("marking.py")
"""


async def test_tasks_of_one_code_do_not_meet(tmp_path: Path) -> None:
    """What one writes beside the code is invisible to another of the same code."""
    blobs = FileBlobs(tmp_path / "blobs")
    Path(blobs.root).mkdir(exist_ok=True)
    bundle = t.make_bundle(Path(blobs.root), SOURCE, "marking")
    plugin = new_plugin(tmp_path, blobs)
    try:
        for node in ("n0", "n1"):
            task = t.python_task("leave_mark", bundle, "marking")
            found = await run_task(plugin, blobs, task, node)
            assert isinstance(found, Succeeded), found
            assert t.number(found.outputs.inline) == 1
    finally:
        plugin.close()


async def test_executions_of_one_name_have_scratch_folders_of_their_own(
    tmp_path: Path,
) -> None:
    """The one that ends first, in another domain, takes nothing away from the other."""
    blobs, go = FileBlobs(tmp_path / "blobs"), tmp_path / "go"
    plugin = new_plugin(tmp_path, blobs)
    wait = f"touch mine; until [ -e {go} ]; do sleep 0.02; done; [ -e mine ]"
    waits = t.work_of(t.dispatch(t.container_task(["sh", "-c", wait])), blobs)
    ends = t.work_of(
        t.dispatch(
            t.container_task(["sh", "-c", "touch other"]),
            stream="execution/p/production/x",
            output_path="metadata/propeller/p-production-x/n0.0",
        ),
        blobs,
    )
    assert waits.dispatch.generated_name == ends.dispatch.generated_name
    try:
        for work in (waits, ends):
            await plugin.start(work)
        assert isinstance(await plugin.watch(ends), Succeeded)
        await plugin.finalize(ends)
        go.touch()
        assert isinstance(await plugin.watch(waits), Succeeded)
        await plugin.finalize(waits)
    finally:
        plugin.close()
