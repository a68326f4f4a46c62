"""All events of a running engine, as `flightlog events tail` prints them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

_LIMIT_S = 120.0
_CHUNK = 1 << 16


def all_events(env: Mapping[str, str], quiet_s: float = 3.0) -> list[dict[str, Any]]:
    """Return every event and answer on the log of the engine that settings name.

    Following has no end: it is given up once nothing has come for `quiet_s`.
    """
    following = subprocess.Popen(
        [
            sys.executable, "-m", "gateway.cli", "events", "tail",
            "--from-start", "--json",
        ],
        stdout=subprocess.PIPE, env={**os.environ, **env},
    )  # fmt: skip
    assert following.stdout is not None
    printed, until_s = b"", time.monotonic() + _LIMIT_S
    try:
        while time.monotonic() < until_s:
            wait_s = quiet_s if printed else _LIMIT_S
            if not select.select([following.stdout], [], [], wait_s)[0]:
                break
            chunk = os.read(following.stdout.fileno(), _CHUNK)
            if not chunk:
                break
            printed += chunk
    finally:
        following.kill()
        following.wait()
        following.stdout.close()
    return [json.loads(line) for line in printed.splitlines()]
