"""Standard streams as processes of every kind start with: closed, of any encoding."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

import msgspec
from rich.console import Console

from infra.lossy_stream import LossyStream
from schemas.json_types import JsonObject


def prepare() -> None:
    """Open what is closed, and let no character of an output fail.

    A file or a connection would get the number of a closed stream, and what libraries
    print would go there.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard() -> None:
    """Let nothing of standard output be written any more: its reader has gone."""
    LossyStream(sys.stdout).discard()


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def announce(lines: Sequence[str], fields: JsonObject, *, as_json: bool) -> None:
    """Tell on standard output that a process is ready: scripts wait for it.

    `fields` are told instead of the lines where logs are JSON. The reader of the output
    may be gone.
    """
    out = cast("TextIO", LossyStream(sys.stdout))
    if as_json:
        out.write(msgspec.json.encode(fields).decode() + "\n")
    else:
        console = Console(file=out, highlight=False, soft_wrap=True)
        for line in lines:
            console.print(line)
    out.flush()
