"""One execution of forty tasks: in a row and side by side, echoed and in Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.bench.disk import disk_use
from tests.bench.engines import AnEngine, client_of, engine, median_of, timed
from tests.bench.figure import Figure
from tests.support import raw
from tests.support.harness.engine_process import Running

CHAIN = 40
HITS = 1_000
SMALL = 20
FIBONACCI = 10
FLOW = f"""
from flytekit import task, workflow

@task
def t(a: int) -> int:
    return a + 1

@workflow
def chain(a: int) -> int:
    x = a
    for _ in range({CHAIN}):
        x = t(a=x)
    return x

@workflow
def one(a: int) -> int:
    return t(a=a)
"""
DYNAMIC_FLOW = """
from flytekit import dynamic, task, workflow

@task
def plus(a: int, b: int) -> int:
    return a + b

@dynamic
def fibonacci(a: int) -> int:
    if a < 2:
        return a
    return plus(a=fibonacci(a=a - 1), b=fibonacci(a=a - 2))

@workflow
def fib(a: int) -> int:
    return fibonacci(a=a)
"""


def echo_chains(folder: Path, quick: bool) -> list[Figure]:
    """Measure echo tasks in a row, and side by side."""
    with engine(folder, "echo") as running:
        row, side = chains_on(running, quick)
    flyte = "Flyte 2.3-2.8 s, Temporal 0.5-3.2 s"
    return [
        Figure(f"{CHAIN} sequential echo tasks", row, "s", 1.2, 0.3, comparison=flyte),
        Figure(
            f"{CHAIN} parallel echo tasks", side, "s", 0.6, 0.15,
            comparison="Flyte 0.8-1.1 s",
        ),
    ]  # fmt: skip


def chains_on(running: AnEngine, quick: bool) -> tuple[float, float]:
    """Return the seconds in a row and side by side, on an engine that runs."""
    tries = 1 if quick else 5
    client = client_of(running)
    raw.register_layers(client, "row", layers=CHAIN, width=1)
    raw.register_layers(client, "side", layers=1, width=CHAIN)
    return median_of(client, "row", tries), median_of(client, "side", tries)


def cache_hits(folder: Path, quick: bool) -> list[Figure]:
    """Measure a chain of cached tasks whose outputs are all kept already."""
    hits = HITS // 10 if quick else HITS
    with engine(folder, "cache") as running:
        client = client_of(running)
        raw.register_layers(client, "kept", layers=hits, width=1, cached=True)
        took = median_of(client, "kept", 1 if quick else 3)
    return [Figure(f"{hits:,} cache hits in a chain", took, "s")]


def python_chain(folder: Path, quick: bool) -> list[Figure]:
    """Measure Python tasks in a row, in warm processes, and what they leave."""
    with engine(folder, "python", "process") as running:
        register(running, folder / "chain", "chain_flow.py", FLOW)
        client = client_of(running)
        took = median_of(client, "chain_flow.chain", 1 if quick else 3)
        left = disk_use(running, client, "chain_flow.one", 5 if quick else SMALL)
    flyte = "Flyte with pods 122-202 s"
    what = f"{CHAIN} sequential Python tasks"
    return [Figure(what, took, "s", 3, 1.5, comparison=flyte), *left]


def nested_dynamic(folder: Path, quick: bool) -> list[Figure]:
    """Measure fibonacci by recursion: dynamic tasks within dynamic tasks."""
    n = FIBONACCI // 2 if quick else FIBONACCI
    with engine(folder, "dynamic", "process") as running:
        register(running, folder / "fib", "fib_flow.py", DYNAMIC_FLOW)
        client = client_of(running)
        timed(client, "fib_flow.fib", "fib-warm", a=2)
        took = timed(client, "fib_flow.fib", "fib", a=n)
    calls = [1, 1]
    while len(calls) <= n:
        calls.append(calls[-1] + calls[-2] + 1)
    tasks = calls[n] + calls[n] // 2
    what = f"fibonacci({n}) by recursion, {tasks} Python tasks"
    return [Figure(what, took, "s")]


def register(running: Running, project: Path, file: str, source: str) -> None:
    """Register a module as its author does it."""
    project.mkdir()
    (project / file).write_text(source)
    subprocess.run(
        [
            str(Path(sys.executable).parent / "pyflyte"), "register",
            "-p", raw.PROJECT, "-d", raw.DOMAIN, "--version", raw.VERSION, file,
        ],
        cwd=project, check=True, capture_output=True,
        env={
            **os.environ,
            "FLYTE_PLATFORM_URL": running.endpoint,
            "FLYTE_PLATFORM_INSECURE": "true",
        },
    )  # fmt: skip
