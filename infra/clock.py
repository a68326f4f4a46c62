"""The time of day: the only caller of the system's clock."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Return microseconds since 1970, UTC."""
        return time.time_ns() // 1000
