"""The environment of tasks on this machine, and what is kept out of it."""

from __future__ import annotations

import os
from pathlib import Path

from infra.settings import Settings

# What numpy and pyarrow start on import would keep a warm template from forking, so
# that each task imported them anew (1 s). Tasks run side by side anyway; whoever wants
# more threads sets these variables for the engine.
_FORK_SUPPORT = "GRPC_ENABLE_FORK_SUPPORT"
_LOOPBACKS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - names, not bound to
_ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}


def disable_grpc_fork_handlers() -> None:
    """Keep gRPC from meddling with forks; to be called before gRPC is imported.

    Its handlers run in each child that the loop forks to start a command, and crash
    some of them; such a child only executes something else.
    """
    os.environ.setdefault(_FORK_SUPPORT, "0")


def task_environment(settings: Settings) -> dict[str, str]:
    """Return the environment that tasks of this machine start from.

    It is the engine's own without its settings (a Postgres URL may hold a password),
    with the scripts of the tasks' Python first on the path. It names the engine, so
    that tasks can call back (eager workflows do).
    """
    kept = dict(_ONE_THREAD) | {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FLIGHTLOG_") and name != _FORK_SUPPORT
    }
    scripts = str(Path(settings.process.python).parent)
    kept["PATH"] = os.pathsep.join(p for p in (scripts, kept.get("PATH", "")) if p)
    host = _LOOPBACKS.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host else host
    own = f"{host}:{settings.grpc_port}"
    kept["FLYTE_PLATFORM_URL"] = settings.gateway.task_endpoint or own
    kept["FLYTE_PLATFORM_INSECURE"] = "true"
    return kept
