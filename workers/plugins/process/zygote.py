"""Warm templates: Pythons that have imported what tasks need, and fork them.

Run by path under the Python of the tasks, so it uses the standard library alone, and
flytekit if asked to. Three generations of processes, each dying with the one before:

  nursery    exec'd by the engine; imports flytekit once
  template   forked from the nursery, one for each code bundle and environment
  task       forked from a template, one for each attempt; leads its own group

  argv: descriptor of a SEQPACKET socket, process id of the engine, flytekit|plain
  nursery   out {"ready": pid} or {"failed": text};   in {"folder", "env", "path"}, with
            the descriptor of a stream socket on which the new template then serves:
  template  in  {"id", "args", "exec", "env", "cwd", "log", "module"}, JSON lines
            out {"id", "pid"}, then {"id", "code"}
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
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

PR_SET_PDEATHSIG = 1
LOOP_STOP_S = 0.5
ENTRYPOINTS = {
    "pyflyte-execute": "execute_task_cmd",
    "pyflyte-map-execute": "map_execute_task_cmd",
}
FORK_SAFE_THREADS = {"jemalloc_bg_thd"}  # pyarrow's allocator; it knows of forks
NOT_EXECUTABLE = 126
S3_VARIABLE = "FLYTE_AWS_ACCESS_KEY_ID"
NOT_FOUND = 127
UNTRIED, TRYING, HERE, IN_CHILDREN = "untried", "trying", "here", "in children"

libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent, how):
    """Let the kernel send a signal to this process when its parent ends."""
    libc.prctl(PR_SET_PDEATHSIG, int(how))
    if os.getppid() != parent:
        os._exit(0)


def sweep(group):
    """Kill whatever is left of a process group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def is_safe_to_fork():
    """Tell whether one thread is left; those that end before a fork don't count."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    until = time.monotonic() + LOOP_STOP_S
    while len(unknown_threads()) > 1 and time.monotonic() < until:
        time.sleep(0.002)  # a joined thread leaves the kernel's list a little later
    return len(unknown_threads()) == 1


def unknown_threads():
    """Return the threads that nothing is known of, this one among them."""
    found = []
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/comm") as name:
                found.append(name.read().strip())
        except OSError:
            continue
    return [name for name in found if name not in FORK_SAFE_THREADS]


class Template:
    """Serves one socket: forks tasks, tells of their ends."""

    def __init__(self, peer):
        self.peer = peer
        self.me = os.getpid()
        self.running = {}
        self.modules = {}
        self.fork_probes = {}
        self.rest = b""
        self.wake_r, self.wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.end())
        signal.set_wakeup_fd(self.wake_w, warn_on_full_buffer=False)

    def say(self, message):
        """Send one line to the engine."""
        self.peer.sendall(json.dumps(message).encode() + b"\n")

    def end(self):
        """End with all tasks, and with whatever they started."""
        for pid in self.running:
            sweep(pid)
        os._exit(0)

    def serve(self):
        """Fork and reap until the engine hangs up."""
        while True:
            ready, _, _ = select.select(
                [self.peer, self.wake_r, *self.fork_probes], [], []
            )
            if self.wake_r in ready:
                os.read(self.wake_r, 4096)
            self.reap()
            for fork_probe in [fd for fd in ready if fd in self.fork_probes]:
                self.hear_fork_probe(fork_probe)
            if self.peer in ready:
                self.take()

    def take(self):
        """Read what the engine asks for."""
        try:
            data = self.peer.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            self.end()
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.begin(json.loads(line))

    def begin(self, request):
        """Fork a task. The first of a module tries its import out for all others."""
        module = request["module"]
        told, tell = None, None
        if module and self.modules.get(module, UNTRIED) == UNTRIED:
            self.modules[module] = TRYING
            told, tell = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            self.peer.close()
            run_task(request, self.me, tell)
        self.running[child] = request["id"]
        if told is not None:
            os.close(tell)
            self.fork_probes[told] = module
        self.say({"id": request["id"], "pid": child})

    def hear_fork_probe(self, told):
        """Import what a task has imported well; what spoils forking stays with them."""
        module = self.fork_probes.pop(told)
        answer = os.read(told, 1)
        os.close(told)
        if answer != b"1":
            self.modules[module] = IN_CHILDREN if answer else UNTRIED
            return
        self.modules[module] = HERE
        try:
            import_as_task(module)
        except BaseException:
            traceback.print_exc()
        gc.collect()
        gc.freeze()

    def reap(self):
        """Collect tasks that have ended; what they left behind ends with them."""
        while self.running:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            sweep(ended.si_pid)  # before it is reaped: until then its id is its own
            _, status = os.waitpid(ended.si_pid, 0)
            number = self.running.pop(ended.si_pid, None)
            if number is not None:
                self.say({"id": number, "code": os.waitstatus_to_exitcode(status)})


def run_task(request, parent, tell):
    """Become the task: never returns."""
    code = 1
    try:
        os.setsid()
        die_with_parent(parent, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(request["cwd"])
        if request["exec"]:
            execute(request["args"], request["env"])
        os.environ.clear()
        os.environ.update(request["env"])
        tempfile.tempdir = None
        sys.stdout.reconfigure(line_buffering=True)
        random.seed()
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        if tell is not None:
            fork_probe(request["module"], tell)
        code = call(request["args"])
    except BaseException:
        traceback.print_exc()
    finally:
        leave(code)


def execute(args, env):
    """Become another program."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvpe(args[0], args, env)
    except OSError as error:
        found = isinstance(error, FileNotFoundError)
        print(f"Expected to run {args[0]}, but: {error}", file=sys.stderr, flush=True)
        os._exit(NOT_FOUND if found else NOT_EXECUTABLE)


def fork_probe(module, tell):
    """Import the task's module; tell the template whether it may do so too."""
    try:
        import_as_task(module)
        safe = is_safe_to_fork()
    except BaseException:  # flytekit imports it again, and reports
        safe = False
    os.write(tell, b"1" if safe else b"0")
    os.close(tell)


def import_as_task(module):
    """Import under the context that a task's process would import it in."""
    from flytekit.core.context_manager import ExecutionState, FlyteContextManager

    context = FlyteContextManager.current_context()
    state = context.execution_state or context.new_execution_state()
    running = state.with_params(mode=ExecutionState.Mode.TASK_EXECUTION)
    with FlyteContextManager.with_context(context.with_execution_state(running)):
        importlib.import_module(module)
    stop_loops()


def stop_loops():
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


def call(args):
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
        print(ended.code, file=sys.stderr)
        return 1
    return 0


def leave(code):
    """End as Python does: wait for threads, run what was registered, flush."""
    for step in (
        threading._shutdown,
        atexit._run_exitfuncs,
        sys.stdout.flush,
        sys.stderr.flush,
    ):
        try:
            step()
        except BaseException:
            traceback.print_exc()
    os._exit(code)


def become_template(peer, request, parent):
    """Be the template of a code bundle: never returns."""
    die_with_parent(parent, signal.SIGTERM)
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    sys.path[:0] = request["path"]
    importlib.invalidate_caches()
    Template(peer).serve()


def nurse(control):
    """Fork templates until the engine hangs up."""
    me = os.getpid()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, fds, _, _ = socket.recv_fds(control, 1 << 20, 1)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            try:
                become_template(socket.socket(fileno=fds[0]), json.loads(data), me)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        os.close(fds[0])


def import_flytekit():
    # As in a container: the form for terminals takes minutes for a long message.
    os.environ.setdefault("FLYTE_SDK_RICH_TRACEBACKS", "0")
    os.environ.setdefault("FLYTE_SDK_LOGGING_FORMAT", "text")
    names = [
        "flytekit.bin.entrypoint",
        "flytekit.core.python_auto_container",
        "flytekit.types.structured",
        "flytekit.types.file",
    ]
    if S3_VARIABLE in os.environ:  # every task would import it: 0.3 s
        names.append("s3fs")
    for name in names:
        importlib.import_module(name)


def main():
    fd, engine, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    die_with_parent(engine, signal.SIGTERM)
    control = socket.socket(fileno=fd)
    control.set_inheritable(False)
    # What the engine's folder of scripts holds is no module of the tasks.
    sys.path[:] = [
        p for p in sys.path if p != os.path.dirname(os.path.abspath(__file__))
    ]
    try:
        if kind == "flytekit":
            import_flytekit()
    except BaseException as error:
        control.send(
            json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode()
        )
        raise
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"ready": os.getpid()}).encode())
    nurse(control)


if __name__ == "__main__":
    main()
