"""Asks an engine for its health until standard input ends; prints the longest wait."""

from __future__ import annotations

import sys
import threading
import time
import urllib.request

PAUSE_S = 0.02
TIMEOUT_S = 120


def main() -> None:
    """Watch the engine whose HTTP address is the only argument."""
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    url, slowest = f"{sys.argv[1]}/healthz", 0.0
    print("watching", flush=True)
    while not stop.is_set():
        began = time.monotonic()
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            answer.read()
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(PAUSE_S)
    print(slowest)


if __name__ == "__main__":
    main()
