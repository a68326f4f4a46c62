"""`flightlog demo`: registers and runs the flight delay report, showing progress."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
from flyteidl.admin import execution_pb2
from flyteidl.core import identifier_pb2
from flyteidl.service import admin_pb2_grpc
from rich.console import Console
from rich.live import Live
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from domain.execution.state.evolve import evolve
from domain.execution.state.state import Execution
from gateway.bootstrap.data_dir import DataDir, EngineAddress
from gateway.cli.commands.executions.literal_json import to_json
from gateway.cli.errors import CommandError
from gateway.cli.session.session import Session, open_session
from infra.settings import Settings
from infra.task_environment import task_environment
from projections.views import journal
from schemas.ids import ExecutionRef, execution_stream
from schemas.phases import ExecutionPhase
from schemas.sites import NodeKind
from schemas.wire import codec

PROJECT, DOMAIN = "flytesnacks", "development"
SCRIPT, LAUNCH_PLAN = "delays.py", "flights.morning_report"
START_S, REGISTER_S, RUN_S, CALL_S = 30.0, 120.0, 300.0, 30.0
_PAUSE_S = 0.1
_PAGE_BYTES = 4000
_LINES = 5
_PYFLYTE = "from flytekit.clis.sdk_in_container.pyflyte import main; main()"
_BOUNDARY = {NodeKind.START, NodeKind.END}
_STYLES = {"SUCCEEDED": "green", "FAILED": "red", "RUNNING": "yellow"}


async def demo(settings: Settings) -> None:
    """Run the demo; raises CommandError if anything of it fails."""
    console = Console(highlight=False)
    script = _example()
    version = "demo-" + hashlib.sha256(script.read_bytes()).hexdigest()[:12]
    async with _engine(settings, console) as (engine, is_ours):
        with _step(console, f"Registering [bold]{script.name}[/] with pyflyte"):
            await _register(settings, engine, script, version)
        ref = await _execute(engine, version)
        console.print(f"Execution [bold]{ref.text()}[/] created")
        async with open_session(settings) as session:
            state = await _watch(session, ref, console)
        if state.phase is not ExecutionPhase.SUCCEEDED:
            why = state.failure.message if state.failure else state.phase.value
            raise CommandError(f"Expected the demo to succeed, but: {why}")
        await _print_outputs(engine, ref, console)
        _print_next(settings, engine, ref, console, is_ours=is_ours)


def _example() -> Path:
    """Return the example's script: beside the sources, or inside the package."""
    package = Path(__file__).resolve().parents[3]
    for root in (package.parent, package):
        script = root / "examples" / "flights" / SCRIPT
        if script.exists():
            return script
    raise CommandError("Expected the example beside this installation, but it isn't")


@contextmanager
def _step(console: Console, what: str) -> Iterator[None]:
    """Show a step that takes a while: how long so far, if that can be shown."""
    if not console.is_terminal:
        console.print(f"{what} …")
        yield
        return
    columns = SpinnerColumn(), TextColumn("{task.description} …"), TimeElapsedColumn()
    began = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(what, total=None)
        yield
    console.print(f"{what}: {time.monotonic() - began:.1f} s")


@asynccontextmanager
async def _engine(
    settings: Settings, console: Console
) -> AsyncIterator[tuple[EngineAddress, bool]]:
    """Yield the running engine, or one started for the demo; and whether it was."""
    data = DataDir(settings.data_dir)
    engine = data.address()
    if engine is not None:
        console.print(f"Using the engine at {engine.grpc} (pid {engine.pid})")
        yield engine, False
        return
    log = data.path / "demo-engine.log"
    process = await _spawn(data, log)
    try:
        with _step(console, f"Starting an engine on {data.path}"):
            engine = await _ready(data, process, log)
        yield engine, True
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _spawn(data: DataDir, log: Path) -> asyncio.subprocess.Process:
    data.prepare()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "up",
            "--data-dir", str(data.path), "--grpc-port", "0", "--http-port", "0",
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(output)


async def _ready(
    data: DataDir, process: asyncio.subprocess.Process, log: Path
) -> EngineAddress:
    try:
        async with asyncio.timeout(START_S):
            while process.returncode is None:
                engine = data.address()
                if engine is not None:
                    return engine
                await asyncio.sleep(_PAUSE_S)
    except TimeoutError:
        raise CommandError(
            f"Expected an engine within {START_S:g} s, but there is none; see {log}"
        ) from None
    raise CommandError(
        f"Expected an engine to start, but it ended; {log} ends with:\n{_tail(log)}"
    )


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return "\n".join(lines[-_LINES:])


async def _register(
    settings: Settings, engine: EngineAddress, script: Path, version: str
) -> None:
    """Register with pyflyte as a user does, in a separate process."""
    environment = {
        **task_environment(settings),
        "FLYTE_PLATFORM_URL": engine.grpc,
        "FLYTE_PLATFORM_INSECURE": "true",
    }
    process = await asyncio.create_subprocess_exec(
        settings.process.python, "-c", _PYFLYTE,
        "register", "-p", PROJECT, "-d", DOMAIN, "--version", version, script.name,
        cwd=script.parent, env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(REGISTER_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise CommandError(
            f"Expected pyflyte to register within {REGISTER_S:g} s, but it didn't"
        ) from None
    if process.returncode:
        text = output.decode(errors="replace")
        raise CommandError(f"Expected pyflyte to register, but:\n{text}{_hint(text)}")


def _hint(output: str) -> str:
    if "No module named 'pandas'" in output:
        return "The example needs pandas and pyarrow: pip install 'flightlog[examples]'"
    return ""


async def _execute(engine: EngineAddress, version: str) -> ExecutionRef:
    request = execution_pb2.ExecutionCreateRequest(project=PROJECT, domain=DOMAIN)
    request.spec.launch_plan.CopyFrom(
        identifier_pb2.Identifier(
            resource_type=identifier_pb2.LAUNCH_PLAN,
            project=PROJECT,
            domain=DOMAIN,
            name=LAUNCH_PLAN,
            version=version,
        )
    )
    async with _admin(engine) as admin:
        reply: execution_pb2.ExecutionCreateResponse = await admin.CreateExecution(
            request, timeout=CALL_S
        )
    return ExecutionRef(project=PROJECT, domain=DOMAIN, name=reply.id.name)


@asynccontextmanager
async def _admin(
    engine: EngineAddress,
) -> AsyncIterator[admin_pb2_grpc.AdminServiceStub]:
    """Yield a client of AdminService; a failed call raises CommandError."""
    async with grpc.aio.insecure_channel(engine.grpc) as channel:
        try:
            yield admin_pb2_grpc.AdminServiceStub(channel)  # type: ignore[no-untyped-call] # generated
        except grpc.aio.AioRpcError as error:
            raise CommandError(f"The engine refused: {error.details()}") from error


async def _watch(session: Session, ref: ExecutionRef, console: Console) -> Execution:
    """Fold the execution's events as they are written, and display the state."""
    state, order = Execution(), dict[str, None]()
    try:
        async with asyncio.timeout(RUN_S):
            with Live(console=console, auto_refresh=False, transient=False) as live:
                async for page in session.log.follow_stream(execution_stream(ref)):
                    for received in page:
                        event = codec.decode_execution_event(received.body)
                        state = evolve(state, event)
                        order.setdefault(journal.subject(event))
                    live.update(_draw(state, order), refresh=True)
                    if state.is_terminal:
                        return state
    except TimeoutError:
        pass
    raise CommandError(
        f"Expected {ref.text()} to end within {RUN_S:g} s, but it is still running"
    )


def _draw(state: Execution, order: Iterable[str]) -> Table:
    table = Table(
        box=None, title=f"execution {state.phase.value}", title_justify="left"
    )
    for heading in ("node", "task or workflow", "phase"):
        table.add_column(heading, no_wrap=True)
    for key in order:
        node = state.nodes.get(key)
        if node is None or node.site.kind in _BOUNDARY:
            continue
        depth = "  " if node.site.parent_id else ""
        what = node.site.target.name if node.site.target else node.site.kind
        phase = node.phase.value
        style = _STYLES.get(phase, "dim")
        table.add_row(depth + key, what, f"[{style}]{phase}[/]")
    return table


async def _print_outputs(
    engine: EngineAddress, ref: ExecutionRef, console: Console
) -> None:
    request = execution_pb2.WorkflowExecutionGetDataRequest()
    request.id.project, request.id.domain, request.id.name = PROJECT, DOMAIN, ref.name
    async with _admin(engine) as admin:
        data: execution_pb2.WorkflowExecutionGetDataResponse = (
            await admin.GetExecutionData(request, timeout=CALL_S)
        )
    console.print("\n[bold]Outputs[/]")
    for name, literal in sorted(data.full_outputs.literals.items()):
        value = to_json(literal)
        console.print(f"  [cyan]{name}[/] = {value}", soft_wrap=True)
        if literal.scalar.WhichOneof("value") == "blob":
            _print_page(Path(str(value)), console)


def _print_page(path: Path, console: Console) -> None:
    if path.is_file() and path.stat().st_size <= _PAGE_BYTES:
        for line in path.read_text(errors="replace").splitlines():
            console.print(f"    {line}", markup=False, style="dim")


def _print_next(
    settings: Settings,
    engine: EngineAddress,
    ref: ExecutionRef,
    console: Console,
    *,
    is_ours: bool,
) -> None:
    given = "data_dir" in settings.model_fields_set
    where = f" --data-dir {settings.data_dir}" if given else ""
    console.print("\n[bold]Next[/]")
    for command in (
        f"flightlog events show {ref.name}{where}",
        f"flightlog state {ref.name} --at 20{where}",
        f"flightlog logs {ref.name}{where}",
    ):
        console.print(f"  {command}", soft_wrap=True)
    if is_ours:
        console.print(f"  flightlog up{where}    [dim]# keeps the engine running[/]")
    else:
        path = f"executions/{ref.text()}"
        console.print(f"  curl {engine.http}/api/v1/{path}", soft_wrap=True)
