"""A warm template: a Python that has imported flytekit and forks a child for each task.

Run by path under the Python of the tasks, so it uses the standard library and flytekit
alone. It talks JSON lines over the socket whose descriptor is its first argument:
  in   {"id", "args", "env", "cwd", "log", "module", "bundle"}
  out  {"ready": pid} once, then for each task {"id", "pid"} and {"id", "code"}
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
import time
import traceback

PR_SET_PDEATHSIG = 1
LOOP_STOP_S = 0.5
ENTRYPOINTS = {
    "pyflyte-execute": "execute_task_cmd",
    "pyflyte-fast-execute": "fast_execute_task_cmd",
    "pyflyte-map-execute": "map_execute_task_cmd",
}


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def thread_count() -> int:
    """Return how many threads this process has."""
    return len(os.listdir("/proc/self/task"))


def stop_loops() -> None:
    """End the loop that flytekit runs in a thread once a workflow was declared.

    Only the thread keeps this process from forking; a task starts a loop of its own.
    """
    manager = getattr(sys.modules.get("flytekit.utils.asyn"), "loop_manager", None)
    runners = getattr(manager, "_runner_map", {})
    for runner in list(runners.values()):
        loop = getattr(runner, "_TaskRunner__loop", None)
        thread = getattr(runner, "_TaskRunner__runner_thread", None)
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(LOOP_STOP_S)
    runners.clear()
    until = time.monotonic() + LOOP_STOP_S
    while thread_count() > 1 and time.monotonic() < until:
        time.sleep(0.002)  # a joined thread leaves the kernel's list a little later


def import_is_safe(module: str) -> bool:
    """Try an import in a child: does it work, and leave one thread behind?"""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            importlib.import_module(module)
            stop_loops()
            code = 0 if thread_count() == 1 else 2
        except BaseException:  # noqa: BLE001 - any failure is the task's to report
            code = 1
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def run_task(request: dict, parent: int) -> None:
    """Become the task: never returns."""
    code = 1
    try:
        os.setsid()
        die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        random.seed()
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        code = call(request["args"])
    except BaseException:  # noqa: BLE001 - the log tells
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def call(args: list) -> int:
    """Run flytekit's own command as its console script would; return its exit code."""
    from flytekit.bin import entrypoint

    command = getattr(entrypoint, ENTRYPOINTS[args[0]])
    sys.argv = list(args)
    try:
        command(args=args[1:], prog_name=args[0])
    except SystemExit as ended:
        if ended.code is None:
            return 0
        if isinstance(ended.code, int):
            return ended.code
        print(ended.code, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def main() -> None:
    """Serve requests until the socket closes."""
    parent = os.getppid()
    die_with_parent(parent)
    peer = socket.socket(fileno=int(sys.argv[1]))
    peer.set_inheritable(False)
    cwd = sys.argv[2]
    os.chdir(cwd)
    sys.path.insert(0, cwd)
    import flytekit.bin.entrypoint
    import flytekit.core.python_auto_container  # noqa: F401

    for name in ("flytekit.types.structured", "flytekit.types.file"):
        importlib.import_module(name)
    wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    serve(peer, wake_r)


def serve(peer: socket.socket, wake_r: int) -> None:
    """Fork on requests, tell of exits."""
    me, running, tried, rest = os.getpid(), {}, set(), b""

    def say(message: dict) -> None:
        peer.sendall(json.dumps(message).encode() + b"\n")

    say({"ready": me, "threads": thread_count()})
    while True:
        readable, _, _ = select.select([peer, wake_r], [], [])
        if wake_r in readable:
            os.read(wake_r, 4096)
        reap(running, say)
        if peer not in readable:
            continue
        data = peer.recv(1 << 20)
        if not data:
            os._exit(0)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            warm_up(request, tried)
            child = os.fork()
            if child == 0:
                run_task(request, me)
            running[child] = request["id"]
            say({"id": request["id"], "pid": child})


def reap(running: dict, say) -> None:  # noqa: ANN001
    """Collect children that have ended."""
    while running:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        task = running.pop(pid, None)
        if task is not None:
            say({"id": task, "code": os.waitstatus_to_exitcode(status)})


def warm_up(request: dict, tried: set) -> None:
    """Import a task's module here, once, if a fork stays safe after it."""
    module = request["module"]
    if not module or module in tried or module in sys.modules:
        return
    tried.add(module)
    before = dict(os.environ)
    os.environ.update(request["env"])
    try:
        if import_is_safe(module):
            importlib.import_module(module)
            stop_loops()
    except BaseException:  # noqa: BLE001 - the child tries again, and tells
        traceback.print_exc()
    finally:
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    main()
