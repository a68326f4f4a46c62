"""Warm Python processes that have imported what tasks need, and fork them.

Run by path under the Python of the tasks, so it uses the standard library alone, and
flytekit if asked to. Three generations of processes; each ends with its parent:

  zygote     started by the engine; imports flytekit once
  template   forked from the zygote, one for each code bundle and environment
  task       forked from a template, one for each attempt; leads its own process group

Arguments: the descriptor of a SEQPACKET socket, the engine's process id, and
`flytekit` or `plain`. The messages are those of `fork_protocol.py`.
"""

from __future__ import annotations

import atexit
import ctypes
import enum
import gc
import importlib
import io
import json
import os
import random
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from workers.plugins.process.fork_protocol import TaskRequest, TemplateRequest

PR_SET_PDEATHSIG = 1
LOOP_STOP_S = 0.5
NOT_EXECUTABLE = 126
NOT_FOUND = 127
READ_BYTES = 1 << 20
ENTRYPOINTS = {
    "pyflyte-execute": "execute_task_cmd",
    "pyflyte-map-execute": "map_execute_task_cmd",
}
IMPORTS = (
    "flytekit.bin.entrypoint",
    "flytekit.core.python_auto_container",
    "flytekit.types.structured",
    "flytekit.types.file",
)
S3_VARIABLE = "FLYTE_AWS_ACCESS_KEY_ID"
FORK_SAFE_THREADS = {"jemalloc_bg_thd"}  # of pyarrow's allocator, which handles forks

libc = ctypes.CDLL(None, use_errno=True)


class ModuleState(enum.Enum):
    """How far a template is with importing a module."""

    UNTRIED = enum.auto()
    PROBING = enum.auto()
    IMPORTED = enum.auto()
    FORK_UNSAFE = enum.auto()


def die_with_parent(parent: int, how: signal.Signals) -> None:
    """Let the kernel send a signal to this process when its parent ends."""
    libc.prctl(PR_SET_PDEATHSIG, int(how))
    if os.getppid() != parent:
        os._exit(0)


def kill_group(group: int) -> None:
    """Kill what is left of a process group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def is_safe_to_fork() -> bool:
    """Return whether one thread is left; those that end before a fork don't count."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    until = time.monotonic() + LOOP_STOP_S
    while len(unknown_threads()) > 1 and time.monotonic() < until:
        time.sleep(0.002)  # a joined thread leaves the kernel's list a little later
    return len(unknown_threads()) == 1


def unknown_threads() -> list[str]:
    """Return the names of threads not known to be fork-safe, this one included."""
    found = []
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/comm") as name:
                found.append(name.read().strip())
        except OSError:
            continue
    return [name for name in found if name not in FORK_SAFE_THREADS]


class Template:
    """Serves one socket: forks tasks and reports their exits."""

    def __init__(self, engine: socket.socket) -> None:
        self.engine = engine
        self.pid = os.getpid()
        self.unread = b""
        self.running: dict[int, int] = {}  # process id -> the request's id
        self.modules: dict[str, ModuleState] = {}
        self.probes: dict[int, str] = {}  # a pipe's read end -> the module
        self.wake_r, self.wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.end())
        signal.set_wakeup_fd(self.wake_w, warn_on_full_buffer=False)

    def send(self, message: Mapping[str, int]) -> None:
        """Send one line to the engine."""
        self.engine.sendall(json.dumps(message).encode() + b"\n")

    def end(self) -> NoReturn:
        """End, with all tasks and everything that they started."""
        for pid in self.running:
            kill_group(pid)
        os._exit(0)

    def serve(self) -> NoReturn:
        """Fork and reap until the engine closes the socket."""
        engine = self.engine.fileno()
        while True:
            ready, _, _ = select.select([engine, self.wake_r, *self.probes], [], [])
            if self.wake_r in ready:
                os.read(self.wake_r, 4096)
            self.reap()
            for probe in [fd for fd in ready if fd in self.probes]:
                self.finish_probe(probe)
            if engine in ready:
                self.receive()

    def receive(self) -> None:
        """Read requests of the engine."""
        try:
            data = self.engine.recv(READ_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self.end()
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            self.fork_task(json.loads(line))

    def fork_task(self, request: TaskRequest) -> None:
        """Fork a task. The first one of a module probes its import for all others."""
        module = request["module"]
        pipe = None
        if module and self.modules.get(module) in (None, ModuleState.UNTRIED):
            self.modules[module] = ModuleState.PROBING
            pipe = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            self.engine.close()
            run_task(request, self.pid, pipe[1] if pipe else None)
        self.running[child] = request["id"]
        if module and pipe:
            os.close(pipe[1])
            self.probes[pipe[0]] = module
        self.send({"id": request["id"], "pid": child})

    def finish_probe(self, probe: int) -> None:
        """Import a module that a task could import without losing the right to fork."""
        module = self.probes.pop(probe)
        answer = os.read(probe, 1)
        os.close(probe)
        if answer != b"1":
            state = ModuleState.FORK_UNSAFE if answer else ModuleState.UNTRIED
            self.modules[module] = state
            return
        self.modules[module] = ModuleState.IMPORTED
        try:
            import_as_task(module)
        except BaseException:
            traceback.print_exc()
        gc.collect()
        gc.freeze()

    def reap(self) -> None:
        """Collect tasks that have ended; what they left running ends with them."""
        while self.running:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            kill_group(ended.si_pid)  # before it is reaped: its id can't be reused yet
            _, status = os.waitpid(ended.si_pid, 0)
            request = self.running.pop(ended.si_pid, None)
            if request is not None:
                code = os.waitstatus_to_exitcode(status)
                self.send({"id": request, "code": code})


def run_task(request: TaskRequest, parent: int, probe: int | None) -> NoReturn:
    """Become the task, in a forked child; `probe` is where to report the import."""
    code = 1
    try:
        os.setsid()
        die_with_parent(parent, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        redirect_streams(request["log"])
        os.chdir(request["cwd"])
        if request["exec"]:
            execute(request["args"], request["env"])
        enter_environment(request["env"])
        if probe is not None and request["module"]:
            probe_import(request["module"], probe)
        code = call_flytekit(request["args"])
    except BaseException:
        traceback.print_exc()
    finally:
        leave(code)


def redirect_streams(log: str) -> None:
    """Append output and errors to the log; read from nothing."""
    log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def enter_environment(env: Mapping[str, str]) -> None:
    """Let this process look as if it had been started for this task alone."""
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def execute(args: list[str], env: dict[str, str]) -> NoReturn:
    """Become another program."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvpe(args[0], args, env)  # noqa: S606 - a command needs no shell
    except OSError as error:
        sys.stderr.write(f"Cannot run {args[0]}: {error}\n")
        sys.stderr.flush()
        is_missing = isinstance(error, FileNotFoundError)
        os._exit(NOT_FOUND if is_missing else NOT_EXECUTABLE)


def probe_import(module: str, probe: int) -> None:
    """Import the task's module; report whether the template may import it too."""
    try:
        import_as_task(module)
        is_safe = is_safe_to_fork()
    except BaseException:  # flytekit imports it again, and reports the error
        is_safe = False
    os.write(probe, b"1" if is_safe else b"0")
    os.close(probe)


def import_as_task(module: str) -> None:
    """Import in the context in which a task's process would import it."""
    from flytekit.core.context_manager import ExecutionState, FlyteContextManager

    context = FlyteContextManager.current_context()
    state = context.execution_state or context.new_execution_state()
    running = state.with_params(mode=ExecutionState.Mode.TASK_EXECUTION)
    with FlyteContextManager.with_context(context.with_execution_state(running)):
        importlib.import_module(module)
    stop_event_loops()


def stop_event_loops() -> None:
    """Stop the loops that flytekit runs in threads once a workflow was declared.

    Only their threads prevent forking; a task starts a loop of its own.
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


def call_flytekit(args: Sequence[str]) -> int:
    """Call a command of flytekit as its console script does; return its exit code."""
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
        sys.stderr.write(f"{ended.code}\n")
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """Exit as Python does: wait for threads, run exit handlers, flush."""
    steps: tuple[Callable[[], None], ...] = (
        threading._shutdown,  # type: ignore[attr-defined]  # it has no public name
        atexit._run_exitfuncs,
        sys.stdout.flush,
        sys.stderr.flush,
    )
    for step in steps:
        try:
            step()
        except BaseException:
            traceback.print_exc()
    os._exit(code)


def become_template(
    engine: socket.socket, request: TemplateRequest, parent: int
) -> NoReturn:
    """Serve as the template of a code bundle, in a forked child."""
    die_with_parent(parent, signal.SIGTERM)
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    sys.path[:0] = request["path"]
    importlib.invalidate_caches()
    Template(engine).serve()


def fork_templates(control: socket.socket) -> NoReturn:
    """Fork templates until the engine closes the socket."""
    pid = os.getpid()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, fds, _, _ = socket.recv_fds(control, READ_BYTES, 1)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            try:
                become_template(socket.socket(fileno=fds[0]), json.loads(data), pid)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        os.close(fds[0])


def import_flytekit() -> None:
    """Import what every task needs; configure flytekit as in a container."""
    # The format for terminals takes minutes for a long message.
    os.environ.setdefault("FLYTE_SDK_RICH_TRACEBACKS", "0")
    os.environ.setdefault("FLYTE_SDK_LOGGING_FORMAT", "text")
    for name in IMPORTS:
        importlib.import_module(name)
    if S3_VARIABLE in os.environ:  # otherwise each task would import it, for 0.3 s
        importlib.import_module("s3fs")


def main() -> NoReturn:
    """Be the zygote."""
    fd, engine, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    die_with_parent(engine, signal.SIGTERM)
    control = socket.socket(fileno=fd)
    control.set_inheritable(False)
    # Tasks must not import the modules beside this script.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != here]
    try:
        if kind == "flytekit":
            import_flytekit()
    except BaseException as error:
        failed = {"failed": f"{type(error).__name__}: {error}"}
        control.send(json.dumps(failed).encode())
        raise
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"ready": os.getpid()}).encode())
    fork_templates(control)


if __name__ == "__main__":
    main()
