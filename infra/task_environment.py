"""The environment variables of tasks on this machine."""

from __future__ import annotations

import codecs
import locale
import os
import sys
from pathlib import Path

from infra.addresses import reachable
from infra.settings import Settings

# The threads that numpy and pyarrow start on import would keep a template process from
# forking, so that each task imported them again (1 s). Tasks run in parallel anyway;
# for more threads, set these variables for the engine.
_FORK_SUPPORT = "GRPC_ENABLE_FORK_SUPPORT"
_UTF8_MODE = "PYTHONUTF8"
_GRPC_VERBOSITY = "GRPC_VERBOSITY"
_ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}


def disable_grpc_fork_handlers() -> None:
    """Disable gRPC's fork handlers and its own log; call it before gRPC is imported.

    The handlers run in each child that asyncio forks to start a program, and crash some
    of them; such a child only executes the program. The log is C++'s lines on standard
    error, of what is raised as well.
    """
    os.environ.setdefault(_FORK_SUPPORT, "0")
    os.environ.setdefault(_GRPC_VERBOSITY, "NONE")


def run_in_utf8() -> None:
    """Start this process again in Python's UTF-8 mode, unless it is UTF-8 already.

    Files, names and what tasks print are UTF-8, whatever the locale's encoding is.
    """
    is_utf8 = codecs.lookup(locale.getencoding()).name == "utf-8"
    if is_utf8 or os.environ.get(_UTF8_MODE) == "1":
        return
    os.environ[_UTF8_MODE] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - itself


def task_environment(settings: Settings) -> dict[str, str]:
    """Return the environment that tasks of this machine start with.

    It is the engine's own without its settings (a Postgres URL may contain a password),
    with the scripts of the tasks' Python first on the path. It has the engine's
    address, as eager workflows call it.
    """
    kept = dict(_ONE_THREAD) | {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FLIGHTLOG_")
        and name not in {_FORK_SUPPORT, _GRPC_VERBOSITY}
    }
    scripts = str(Path(settings.process.python).parent)
    kept["PATH"] = os.pathsep.join(p for p in (scripts, kept.get("PATH", "")) if p)
    own = reachable(settings.host, settings.grpc_port)
    kept["FLYTE_PLATFORM_URL"] = settings.gateway.task_endpoint or own
    kept["FLYTE_PLATFORM_INSECURE"] = "true"
    return kept
