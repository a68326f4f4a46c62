"""Logs of attempts: what their tasks wrote to stdout and stderr, as text."""

from __future__ import annotations

from infra.blobs.files import Blobs, InvalidBlobPathError
from schemas.ids import ExecutionRef

FILE_NAME = "log.txt"
_INPUTS = "/inputs.pb"


async def attempt_log(blobs: Blobs, input_path: str, attempt: int) -> str | None:
    """Return the address of the log of an attempt's last run; None while there is none.

    `input_path` is the node's, relative to the store's root. Every run of an attempt
    writes below a prefix of its own.
    """
    if not input_path.endswith(_INPUTS):
        return None
    folder = blobs.uri(f"{input_path.removesuffix(_INPUTS)}/{attempt}")
    try:
        found = await blobs.list(folder)
    except InvalidBlobPathError:
        return None
    runs = [(log.modified_s, log.uri) for log in found if _is_log(log.uri, folder)]
    return max(runs)[1] if runs else None


def _is_log(uri: str, folder: str) -> bool:
    run, slash, name = uri.removeprefix(f"{folder}/").partition("/")
    return bool(run and slash) and name == FILE_NAME


def log_url(base_url: str, execution: ExecutionRef, node_id: str, attempt: int) -> str:
    """Return the link to an attempt's log; a path, if the base is empty."""
    return f"{base_url}/logs/{execution.text()}/{node_id}/{attempt}"
