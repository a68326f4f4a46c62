"""Imported by processes whose clock libfaketime sets: `time.sleep` works there, too.

Told to leave the monotonic clock alone, libfaketime 0.9.10 answers EINVAL to a sleep
until a monotonic time, which is how `time.sleep` sleeps from Python 3.11 on.
"""

import select
import time


def _sleep(seconds: float) -> None:
    select.select((), (), (), seconds)


time.sleep = _sleep
