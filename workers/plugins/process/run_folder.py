"""The folder that a run writes its results to, where blobs are files.

An execution's files lie beside each other in one folder (`schemas/paths.py`), but
flytekit writes all results of a run to one of its own. So what is kept is moved out of
it, and it is removed. On S3, which has no folders, results stay where they are, and so
they do by the older rules of executions.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from schemas.paths import path_in
from workers.plugins.outputs import ERROR
from workers.plugins.plugin import Result, Succeeded


def with_outputs_beside(result: Result, run: str) -> Result:
    """Return a result whose outputs were moved out of the folder of their run."""
    if not isinstance(result, Succeeded) or not result.outputs.uri:
        return result
    outputs = replace(result.outputs, uri=_moved(result.outputs.uri, run))
    return replace(result, outputs=outputs)


def remove_run_folder(run: str) -> None:
    """Remove the folder of a run, and that of its execution, where nothing is in it.

    What stays is what others know the address of, such as a deck.
    """
    if not run.startswith("/"):
        return
    _moved(f"{run}/{ERROR}", run)
    for folder in (Path(run), Path(run).parent):
        with suppress(OSError):
            folder.rmdir()


def _moved(uri: str, run: str) -> str:
    """Move a file of a run beside its folder; return where it is now.

    It stays where it is if the disk fails: nothing depends on where it is.
    """
    beside = path_in(run, uri.rpartition("/")[2])
    if uri.startswith("/") and uri.startswith(f"{run}/"):
        with suppress(OSError):
            return str(Path(uri).replace(beside))
    return uri
