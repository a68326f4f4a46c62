"""Logs of attempts: what their tasks wrote to stdout and stderr, as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from infra.blobs.files import BlobInfo, Blobs, InvalidBlobPathError
from schemas.ids import ExecutionRef
from schemas.paths import LOG, attempt_path, node_of_inputs, path_in

_LastLogs = dict[str, tuple[float, str]]
"""When each attempt's newest log was written, and its address, by the attempt's."""


@dataclass(frozen=True, slots=True)
class AttemptLogs:
    """Finds the logs of attempts.

    `of_many` reads the list of a folder once, for all attempts with data in it.
    """

    blobs: Blobs
    of_many: bool = False
    _listed: dict[str, _LastLogs] = field(default_factory=dict, init=False)

    async def find(self, input_path: str, attempt: int) -> str | None:
        """Return the address of the log of an attempt's last run; None without one.

        `input_path` is the node's, relative to the store's root. Every run of an
        attempt writes files of its own.
        """
        node = node_of_inputs(input_path)
        if node == input_path:
            return None
        path = self.blobs.uri(attempt_path(node, attempt))
        folder = path_in(path, LOG).rpartition("/")[0]  # of all runs' files
        if not self.of_many:
            own = path.removeprefix(folder).lstrip("/")
            return _address(await self._list(folder, own), path)
        if folder not in self._listed:
            self._listed[folder] = await self._list(folder)
        return _address(self._listed[folder], path)

    async def _list(self, folder: str, beginning: str = "") -> _LastLogs:
        try:
            return _last_logs(await self.blobs.list(folder, beginning))
        except InvalidBlobPathError:
            return {}


def _address(found: _LastLogs, path: str) -> str | None:
    return found[path][1] if path in found else None


def _last_logs(found: Iterable[BlobInfo]) -> _LastLogs:
    last: _LastLogs = {}
    for blob in found:
        attempt = _attempt_of(blob.uri)
        newest = (blob.modified_s, blob.uri)
        if attempt is not None and newest > last.get(attempt, (0.0, "")):
            last[attempt] = newest
    return last


def _attempt_of(uri: str) -> str | None:
    """Return the path of the attempt that a run's log belongs to; None for no log."""
    above, _, name = uri.rpartition("/")
    if name == LOG:
        return above.rpartition("/")[0]
    run = name.removesuffix(f".{LOG}")
    return f"{above}/{run.rpartition('.')[0]}" if run != name else None


def log_url(base_url: str, execution: ExecutionRef, node_id: str, attempt: int) -> str:
    """Return the link to an attempt's log; a path, if the base is empty."""
    return f"{base_url}/logs/{execution.text()}/{node_id}/{attempt}"
