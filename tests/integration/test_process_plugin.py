"""The process plugin with real flytekit tasks, real forks, real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from infra.blobs.files import FileBlobs
from infra.setting_sections.processes import ProcessSettings
from tests.support.flytekit import tasks as t
from workers.plugins.plugin import Failed, Result, Started, Succeeded, Work
from workers.plugins.process.plugin import ProcessPlugin

ROOT = Path(__file__).parents[2]
Run = Callable[..., Coroutine[Any, Any, Result]]


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    """Return an empty store."""
    return FileBlobs(tmp_path / "blobs")


@pytest.fixture
def bundle(blobs: FileBlobs) -> Path:
    """Return the code of the tasks, uploaded."""
    return t.make_bundle(Path(blobs.root))


class NoDynamics:
    """These tasks generate no workflows."""

    async def compile_spec(self, work: Work, spec_uri: str) -> Any:
        """Fail the test."""
        raise AssertionError(f"{work.key} generated a workflow at {spec_uri}")


def new_plugin(tmp_path: Path, blobs: FileBlobs, **settings: Any) -> ProcessPlugin:
    """Return a plugin with settings of its own."""
    settings = {"concurrency": 4, "kill_grace_s": 1.0, **settings}
    return ProcessPlugin(
        settings=ProcessSettings(**settings),
        blobs=blobs,
        folder=tmp_path / "bundles",
        base_env={k: v for k, v in os.environ.items() if k in ("PATH", "HOME")},
        log_url=lambda d: f"http://logs/{d.node_id}",
        inline_limit=16384,
        output_bytes_max=1 << 20,
        dynamic_compiler=NoDynamics(),
    )


@pytest.fixture
async def plugin(tmp_path: Path, blobs: FileBlobs) -> AsyncIterator[ProcessPlugin]:
    """Return a plugin that is closed after the test."""
    plugin = new_plugin(tmp_path, blobs)
    yield plugin
    plugin.close()


@pytest.fixture
def run(plugin: ProcessPlugin, blobs: FileBlobs) -> Run:
    """Return a function that runs a task from start to end."""
    return lambda template, node="n0", **more: run_task(
        plugin, blobs, template, node, **more
    )


async def run_task(
    plugin: ProcessPlugin, blobs: FileBlobs, template: Any, node: str, **more: Any
) -> Result:
    """Run a task to its end."""
    work = t.work_of(t.dispatch(template, node, **more), blobs)
    started = await plugin.start(work)
    try:
        return started if isinstance(started, Failed) else await plugin.watch(work)
    finally:
        await plugin.finalize(work)


def log_of(blobs: FileBlobs, node: str = "n0") -> str:
    """Return what an attempt wrote."""
    folder = Path(blobs.root) / "metadata/propeller/p-development-x"
    return (folder / f"{node}.0.0-test.log.txt").read_text()


async def logged_pids(blobs: FileBlobs, node: str = "n0") -> list[int]:
    """Wait until an attempt has logged its process ids."""
    async with asyncio.timeout(20):
        while True:
            try:
                lines = log_of(blobs, node).splitlines()
            except FileNotFoundError:
                lines = []
            for line in lines:
                if line.startswith("pids"):
                    return [int(pid) for pid in line.split()[1:]]
            await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Return whether a process still runs."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until_gone(pids: list[int], within_s: float = 5) -> None:
    """Wait until processes have ended."""
    async with asyncio.timeout(within_s):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["python-task", "eager_failure_handler_task"])
async def test_eager_tasks_take_no_slot(
    tmp_path: Path, blobs: FileBlobs, bundle: Path, kind: str
) -> None:
    """They wait for tasks that need one, and so do their cleanup tasks."""
    plugin = new_plugin(tmp_path, blobs, concurrency=1)
    eager = t.python_task("sleep", bundle)
    eager.metadata.is_eager = kind == eager.type
    eager.type = kind
    waits = t.work_of(t.dispatch(eager), blobs)
    try:
        await plugin.start(waits)
        async with asyncio.timeout(20):
            other = await run_task(plugin, blobs, t.python_task("double", bundle), "n1")
        assert isinstance(other, Succeeded)
        await plugin.abort(waits)
    finally:
        await plugin.finalize(waits)
        plugin.close()


async def test_a_task_succeeds(run: Run, blobs: FileBlobs, bundle: Path) -> None:
    """A flytekit task's outputs come inline and by reference; its log is stored."""
    result = await run(t.python_task("double", bundle))
    assert isinstance(result, Succeeded), result
    assert t.number(result.outputs.inline) == 42
    assert Path(result.outputs.uri).read_bytes() == result.outputs.inline
    assert "doubling 21" in log_of(blobs)
    assert "complaining" in log_of(blobs)
    assert result.logs[0].uri == "http://logs/n0"


async def test_a_user_error_is_reported(run: Run, bundle: Path) -> None:
    """An exception of the task's code is a permanent failure with its message."""
    result = await run(t.python_task("fail", bundle))
    assert isinstance(result, Failed)
    assert not result.recoverable
    assert result.failure.kind == "USER"
    assert "no good: 21" in result.failure.message
    assert "ValueError" in result.failure.code + result.failure.message


async def test_logs_are_not_for_terminals(run: Run, blobs: Any, bundle: Path) -> None:
    """A long message is logged completely, in one line, and within seconds."""
    await run(t.python_task("shout", bundle))
    assert "o" * 300_000 + " end" in log_of(blobs)


async def test_a_recoverable_error_may_be_retried(run: Run, bundle: Path) -> None:
    """FlyteRecoverableException is recoverable, and the user's."""
    result = await run(t.python_task("stumble", bundle))
    assert isinstance(result, Failed)
    assert result.recoverable
    assert result.failure.kind == "USER"


@pytest.mark.parametrize(
    ("code", "kind", "name"), [(137, "SYSTEM", "Interrupted"), (3, "USER", "Error")]
)
async def test_exit_codes_decide(
    run: Run, bundle: Path, code: int, kind: str, name: str
) -> None:
    """A process that flytekit doesn't end is judged by its exit code."""
    template = t.python_task("vanish", bundle)
    result = await run(template, inputs=t.Values(inline=t.integers(a=code)))
    assert isinstance(result, Failed)
    assert (result.failure.kind, result.failure.code) == (kind, name)
    assert result.recoverable


async def test_abort_ends_the_whole_group(
    plugin: ProcessPlugin, blobs: FileBlobs, bundle: Path
) -> None:
    """Aborting a sleeping task ends it, and what it started, at once."""
    task = t.dispatch(
        t.python_task("sleep", bundle), inputs=t.Values(inline=t.integers(a=600))
    )
    work = t.work_of(task, blobs)
    assert isinstance(await plugin.start(work), Started)
    pids = await logged_pids(blobs)
    began = time.monotonic()
    await plugin.abort(work)
    await until_gone(pids)
    assert time.monotonic() - began < 3
    await plugin.finalize(work)


async def test_nothing_outlives_its_task(
    run: Run, blobs: FileBlobs, bundle: Path
) -> None:
    """Processes that a task leaves running end with it, as in a container."""
    assert isinstance(await run(t.python_task("leave_behind", bundle)), Succeeded)
    await until_gone(await logged_pids(blobs))


async def test_tasks_are_warm(run: Run, bundle: Path) -> None:
    """Later tasks find their module imported; each has its own random seed."""
    assert t.number((await run(t.python_task("was_warm", bundle))).outputs.inline) == 0
    async with asyncio.timeout(20):
        while not t.number(
            (await run(t.python_task("was_warm", bundle), "n1")).outputs.inline
        ):
            await asyncio.sleep(0.05)
    draws = [await run(t.python_task("draw", bundle), f"d{i}") for i in range(4)]
    assert len({t.number(d.outputs.inline) for d in draws}) == 4
    times = []
    for i in range(20):
        began = time.perf_counter()
        assert isinstance(
            await run(t.python_task("double", bundle), f"t{i}"), Succeeded
        )
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    print(f"\nwarm tasks, ms: {times[0]:.1f} min, {times[10]:.1f} median")


async def test_the_environment_is_the_tasks_own(run: Run, bundle: Path) -> None:
    """Modules that read the environment at import see their own execution's."""
    template = t.python_task("setting", bundle)
    for value in ("7", "8"):
        for node in ("a", "b"):
            result = await run(template, f"{node}{value}", env={"SETTING": value})
            assert isinstance(result, Succeeded), result
            assert t.number(result.outputs.inline) == int(value)


async def test_plain_commands_run(run: Run, blobs: FileBlobs) -> None:
    """A command that isn't flytekit's runs as it is, with inputs filled in."""
    script = 'echo "got $WORD and {{.inputs.a}}"; exit $CODE'
    template = t.container_task(
        ["sh", "-c", script], {"a": 1}, env={"WORD": "w{{ .Inputs.a }}", "CODE": "0"}
    )
    assert isinstance(await run(template), Succeeded)
    assert "got w21 and 21" in log_of(blobs)
    result = await run(template, "n1", env={"CODE": "5"})
    assert isinstance(result, Failed)
    assert "5" in result.failure.message
    assert "got w21" in result.failure.message


async def test_a_missing_program_is_refused(run: Run) -> None:
    """A program that isn't there is a permanent failure that names it."""
    result = await run(t.container_task(["no-such-program"]))
    assert isinstance(result, Failed)
    assert not result.recoverable
    assert "no-such-program" in result.failure.message


async def test_a_damaged_bundle_is_refused(run: Run, blobs: FileBlobs) -> None:
    """A code bundle that can't be unpacked is a failure that names it."""
    broken = Path(blobs.root) / "broken.tar.gz"
    broken.write_bytes(b"nothing of the kind")
    result = await run(t.python_task("double", broken))
    assert isinstance(result, Failed)
    assert "broken.tar.gz" in result.failure.message


async def test_a_python_without_flytekit_is_reported(
    tmp_path: Path, blobs: FileBlobs, bundle: Path
) -> None:
    """If the tasks' Python can't import flytekit, the failure says so."""
    empty = tmp_path / "python"
    empty.write_text('#!/bin/sh\nexec /usr/bin/env python3 -I -S "$@"\n')
    empty.chmod(0o755)
    plugin = new_plugin(tmp_path, blobs, python=str(empty))
    result = await run_task(plugin, blobs, t.python_task("double", bundle), "n0")
    plugin.close()
    assert isinstance(result, Failed)
    assert "flytekit" in result.failure.message
    assert not result.recoverable


async def test_a_dead_template_is_replaced(
    plugin: ProcessPlugin, run: Run, blobs: FileBlobs, bundle: Path
) -> None:
    """Tasks of a killed template are Interrupted, and their processes end."""
    task = t.dispatch(
        t.python_task("sleep", bundle), inputs=t.Values(inline=t.integers(a=600))
    )
    work = t.work_of(task, blobs)
    await plugin.start(work)
    pids = await logged_pids(blobs)
    stat = Path(f"/proc/{pids[0]}/stat").read_text()
    os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
    result = await plugin.watch(work)
    await plugin.finalize(work)
    assert isinstance(result, Failed)
    assert (result.failure.code, result.failure.kind) == ("Interrupted", "SYSTEM")
    await until_gone(pids)
    assert isinstance(await run(t.python_task("double", bundle), "n1"), Succeeded)


ENGINE = """
import asyncio, sys
from pathlib import Path
from infra.blobs.files import FileBlobs
from tests.integration.test_process_plugin import new_plugin
from tests.support.flytekit import tasks as t

async def main(folder):
    blobs = FileBlobs(folder / "blobs")
    plugin = new_plugin(folder, blobs)
    inputs = t.Values(inline=t.integers(a=600))
    script = "sleep 600 & echo pids $$ $!; wait"
    templates = (
        t.python_task("sleep", t.make_bundle(folder)),
        t.container_task(["sh", "-c", script]),
    )
    for node, template in enumerate(templates):
        run = t.dispatch(template, f"n{node}", inputs=inputs)
        await plugin.start(t.work_of(run, blobs))
    await asyncio.sleep(600)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_nothing_outlives_a_killed_engine(
    tmp_path: Path, blobs: FileBlobs
) -> None:
    """After kill -9 of the engine its tasks end, and all that they started."""
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENGINE, str(tmp_path), cwd=ROOT
    )
    pids = [*await logged_pids(blobs, "n0"), *await logged_pids(blobs, "n1")]
    assert len(pids) == 4
    assert all(is_alive(pid) for pid in pids)
    engine.kill()
    await engine.wait()
    await until_gone(pids)


async def test_templates_are_bounded(tmp_path: Path, blobs: FileBlobs) -> None:
    """Beyond the limit the least used template is closed."""
    plugin = new_plugin(tmp_path, blobs, templates_max=2)
    for number in range(4):
        bundle = t.make_bundle(Path(blobs.root), module=f"flows{number}")
        template = t.python_task("double", bundle, f"flows{number}")
        result = await run_task(plugin, blobs, template, f"n{number}")
        assert isinstance(result, Succeeded), result
    folders = list((tmp_path / "bundles").glob("template-*"))
    plugin.close()
    assert len(folders) == 2


async def test_an_abort_needs_no_slot(
    tmp_path: Path, blobs: FileBlobs, bundle: Path
) -> None:
    """While every slot is taken, a waiting start can be cancelled."""
    plugin = new_plugin(tmp_path, blobs, concurrency=1)
    inputs = t.Values(inline=t.integers(a=600))
    sleeper = t.python_task("sleep", bundle)
    first = t.work_of(t.dispatch(sleeper, "n0", inputs=inputs), blobs)
    second = t.work_of(t.dispatch(sleeper, "n1", inputs=inputs), blobs)
    await plugin.start(first)
    waiting = asyncio.create_task(plugin.start(second))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting], timeout=1)
    assert waiting.cancelled()
    await plugin.abort(second)
    await plugin.finalize(second)
    await plugin.abort(first)
    await plugin.finalize(first)
    plugin.close()


async def test_inputs_are_copied_to_a_file_of_the_attempt(
    run: Run, blobs: FileBlobs, bundle: Path
) -> None:
    """Inputs given by reference are read there, and not stored twice."""
    given = await blobs.put(blobs.uri("elsewhere/in.pb"), t.integers(a=4))
    result = await run(t.python_task("double", bundle), inputs=t.Values(uri=given.uri))
    assert t.number(result.outputs.inline) == 8
    assert not list(Path(blobs.root).rglob("inputs.pb"))
