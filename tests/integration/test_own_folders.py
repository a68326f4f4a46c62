"""The working directory of a task: its code is there, and nothing of other tasks."""

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
