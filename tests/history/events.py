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

_CHUNK = 1 << 16
_QUIET_S = 3.0


def all_events(
    env: Mapping[str, str], at_least: int, *, limit_s: float = 120.0
) -> list[dict[str, Any]]:
    """Return every event and answer on the log of the engine that settings name.

    Following has no end: it is given up once there are `at_least` so many, as another
    reader counted them, and nothing has come for a while. Raises TimeoutError if that
    takes longer than `limit_s`.
    """
    following = subprocess.Popen(
        [
            sys.executable, "-m", "gateway.cli", "events", "tail",
            "--from-start", "--json",
        ],
        stdout=subprocess.PIPE, env={**os.environ, **env},
    )  # fmt: skip
    assert following.stdout is not None
    printed, count, until_s = bytearray(), 0, time.monotonic() + limit_s
    try:
        while True:
            left_s = until_s - time.monotonic()
            wait_s = _QUIET_S if count >= at_least else left_s
            if not select.select([following.stdout], [], [], max(wait_s, 0))[0]:
                break
            chunk = os.read(following.stdout.fileno(), _CHUNK)
            printed += chunk
            count += chunk.count(b"\n")
            if not chunk or left_s <= 0:
                break
    finally:
        following.kill()
        following.wait()
        following.stdout.close()
    if count < at_least or time.monotonic() > until_s:
        told = f"Expected {at_least} events within {limit_s:g} s, but got {count}"
        raise TimeoutError(told)
    return [json.loads(line) for line in printed.splitlines()]
