"""Real flytekit tasks as dispatches: a code bundle, templates, and their work."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flyteidl.core import identifier_pb2, literals_pb2, tasks_pb2, types_pb2

from infra.blobs.files import FileBlobs
from schemas.ids import EntityRef, ExecutionRef, execution_stream
from schemas.messages.dispatches import RunTask
from schemas.paths import (
    FLAT_FOLDERS,
    attempt_path,
    input_file,
    node_path,
    path_in,
)
from schemas.values import KeyValue, Values
from workers.plugins.plugin import Work

SOURCE = """
import os, random, subprocess, sys, time
from flytekit import task, workflow
from flytekit.exceptions.user import FlyteRecoverableException

IMPORTED_BY = os.getpid()
SETTING = os.environ.get("SETTING", "")

@task
def double(a: int) -> int:
    print("doubling", a)
    print("complaining", file=sys.stderr)
    return 2 * a

@task
def fail(a: int) -> int:
    raise ValueError(f"no good: {a}")

@task
def shout(a: int) -> int:
    raise ValueError("loud: " + "o" * 300_000 + " end")

@task
def stumble(a: int) -> int:
    raise FlyteRecoverableException("try again")

@task
def vanish(a: int) -> int:
    os._exit(a)

@task
def sleep(a: int) -> int:
    child = subprocess.Popen(["sleep", "600"])
    print("pids", os.getpid(), child.pid, flush=True)
    time.sleep(a)
    return a

@task
def leave_behind(a: int) -> int:
    print("pids", subprocess.Popen(["sleep", "600"]).pid, flush=True)
    return a

@task
def was_warm(a: int) -> int:
    return int(IMPORTED_BY != os.getpid())

@workflow
def twice(a: int) -> int:
    return double(a=double(a=a))

@task
def draw(a: int) -> int:
    return random.getrandbits(30)

@task
def setting(a: int) -> int:
    return int(SETTING or 0)
"""


def make_bundle(folder: Path, source: str = SOURCE, module: str = "flows") -> Path:
    """Pack one module as fast registration does; return the archive."""
    path = folder / f"{module}.tar.gz"
    data = source.encode()
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(f"{module}.py")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return path


def python_task(
    name: str, bundle: Path | None, module: str = "flows"
) -> tasks_pb2.TaskTemplate:
    """Return the template of a task from int `a` to int `o0`, as flytekit writes it."""
    words = [
        "pyflyte-execute", "--inputs", "{{.input}}", "--output-prefix",
        "{{.outputPrefix}}", "--raw-output-data-prefix", "{{.rawOutputDataPrefix}}",
        "--checkpoint-path", "{{.checkpointOutputPrefix}}", "--prev-checkpoint",
        "{{.prevCheckpointPrefix}}", "--resolver",
        "flytekit.core.python_auto_container.default_task_resolver", "--",
        "task-module", module, "task-name", name,
    ]  # fmt: skip
    if bundle is not None:
        fast = ["pyflyte-fast-execute", "--additional-distribution", str(bundle)]
        words = [*fast, "--dest-dir", ".", "--", *words]
    return container_task(words, {"a": types_pb2.INTEGER}, {"o0": types_pb2.INTEGER})


def container_task(
    words: list[str],
    inputs: Mapping[str, int] = {},
    outputs: Mapping[str, int] = {},
    env: Mapping[str, str] = {},
    kind: str = "python-task",
) -> tasks_pb2.TaskTemplate:
    """Return the template of a task that runs a command."""
    template = tasks_pb2.TaskTemplate(id=identifier_pb2.Identifier(name="t"), type=kind)
    template.container.args.extend(words)
    for key, value in env.items():
        template.container.env.add(key=key, value=value)
    for side, names in (("inputs", inputs), ("outputs", outputs)):
        variables = getattr(template.interface, side).variables
        for name, simple in names.items():
            variables[name].type.simple = simple
    return template


def integers(**values: int) -> bytes:
    """Return a serialized LiteralMap of integers."""
    literals = literals_pb2.LiteralMap()
    for name, value in values.items():
        literals.literals[name].scalar.primitive.integer = value
    return literals.SerializeToString(deterministic=True)


def number(data: bytes | None, name: str = "o0") -> int:
    """Return one integer of a serialized LiteralMap."""
    literals = literals_pb2.LiteralMap.FromString(data or b"").literals
    return int(literals[name].scalar.primitive.integer)


def dispatch(
    template: tasks_pb2.TaskTemplate, node_id: str = "n0", **fields: Any
) -> RunTask:
    """Return the dispatch of an attempt."""
    execution = ExecutionRef(project="p", domain="development", name="x")
    attempt = fields.pop("attempt", 0)
    name = fields.pop("generated_name", f"x-{node_id}-{attempt}")
    node = node_path(execution, node_id, FLAT_FOLDERS)
    env = fields.pop("env", {})
    return RunTask(
        **{
            "stream": execution_stream(execution),
            "node_id": node_id,
            "attempt": attempt,
            "dispatch_no": 0,
            "execution": execution,
            "task": _entity("TASK"),
            "workflow": _entity("WORKFLOW"),
            "template": template.SerializeToString(),
            "inputs": Values(inline=integers(a=21)),
            "generated_name": name,
            "input_path": input_file(node),
            "output_path": attempt_path(node, attempt),
            "raw_output_prefix": f"raw/aa/{name}",
            "envs": tuple(KeyValue(key=k, value=v) for k, v in env.items()),
            **fields,
        }
    )


def work_of(task: RunTask, blobs: FileBlobs) -> Work:
    """Return a dispatch with whole addresses, as the runner gives it to a plugin."""
    return Work(
        dispatch=task,
        input_uri=blobs.uri(task.input_path),
        output_prefix=path_in(blobs.uri(task.output_path), f"{task.dispatch_no}-test"),
        raw_output_prefix=blobs.uri(task.raw_output_prefix),
        checkpoint=f"{blobs.uri(task.raw_output_prefix)}/_flytecheckpoints",
    )


def _entity(kind: str) -> EntityRef:
    return EntityRef(
        kind=kind, project="p", domain="development", name="flows.t", version="v1"
    )
