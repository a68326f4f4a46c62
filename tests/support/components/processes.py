"""Processes of real components: how they end."""

from __future__ import annotations

import signal
import subprocess


def kill(process: subprocess.Popen[bytes] | None) -> None:
    """End a process at once, if there is one."""
    if process is not None:
        process.send_signal(signal.SIGKILL)
        process.wait()
