"""Processes of an engine, found from outside: stopped, woken and killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psycopg


def tree(roots: Iterable[int]) -> list[int]:
    """Return these processes and all that they started, the first ones first."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                status = (folder / "stat").read_text()
            except OSError:
                continue
            parent = int(status.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found, left = list[int](), list(roots)
    while left:
        pid = left.pop(0)
        found.append(pid)
        left += children.get(pid, [])
    return found


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes that still exist."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def postmaster(folder: Path) -> int:
    """Return the process id of the Postgres in a folder."""
    note = folder / "postgres" / "postmaster.pid"
    return int(note.read_text().split()[0])


def wait_for_postgres(url: str, limit_s: float = 30.0) -> float:
    """Return when a Postgres accepts connections again (monotonic seconds)."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.02)
        else:
            return time.monotonic()
    raise AssertionError(f"Postgres isn't back within {limit_s:g} s")
