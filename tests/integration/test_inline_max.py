"""Outputs of a process whose execution has used up its inline budget."""

from __future__ import annotations

from pathlib import Path

from infra.blobs.files import FileBlobs
from tests.integration.test_process_plugin import new_plugin, run_task
from tests.support.flytekit import tasks as t
from workers.plugins.plugin import Succeeded


async def test_outputs_come_by_reference_where_that_is_wanted(tmp_path: Path) -> None:
    """However small they are."""
    blobs = FileBlobs(tmp_path / "blobs")
    bundle = t.make_bundle(Path(blobs.root))
    plugin = new_plugin(tmp_path, blobs)
    try:
        task = t.python_task("double", bundle)
        result = await run_task(plugin, blobs, task, "n0", inline_max=0)
    finally:
        plugin.close()

    assert isinstance(result, Succeeded), result
    assert result.outputs.inline is None
    written = Path(result.outputs.uri).read_bytes()
    assert (t.number(written), result.outputs.size) == (42, len(written))
