"""The front door of the command line: words, options, exit codes."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from gateway.cli import dead_letters, log, start, topics
from gateway.cli.options import (
    EXITS,
    BeginOption,
    DataDirOption,
    DoorPortOption,
    ExecutionArgument,
    GrpcPortOption,
    JsonOption,
    PluginName,
)
from gateway.cli.options import guarded as _guarded
from gateway.cli.options import reading as _reading
from gateway.cli.options import settings_of as _settings
from gateway.version import version

app = typer.Typer(
    help="Flightlog runs Flyte workflows and keeps their flight log.",
    epilog=EXITS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
events_app = typer.Typer(
    help="Events of executions: what happened, in order, each with its cause.",
    epilog=EXITS,
    no_args_is_help=True,
)
app.add_typer(events_app, name="events")
cache_app = typer.Typer(
    help="Outputs of cached tasks, kept for reuse.", epilog=EXITS, no_args_is_help=True
)
app.add_typer(cache_app, name="cache")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(log.app, name="log")
app.add_typer(start.app, name="start")
app.add_typer(topics.app, name="topics")


def main() -> None:
    """Run the command line."""
    app()


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"flightlog {version()}")
        raise typer.Exit


@app.callback()
def root(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Flightlog runs Flyte workflows and keeps their flight log."""
    del show_version


@app.command()
def up(
    *,
    data_dir: DataDirOption = None,
    grpc_port: GrpcPortOption = None,
    http_port: DoorPortOption = None,
    plugin: Annotated[
        PluginName | None,
        typer.Option(help="Run tasks in warm processes, or let them echo inputs."),
    ] = None,
    postgres: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A Postgres of yours, not the embedded one."),
    ] = None,
) -> None:
    """Start an engine with everything inside, and run it until Ctrl-C.

    It listens on 127.0.0.1 only. Whatever stops it, the next start goes on from there.
    """
    from infra.task_environment import leave_forks_alone  # noqa: PLC0415 - before gRPC

    leave_forks_alone()
    from gateway.cli.commands.process.up import up as run_engine  # noqa: PLC0415 - heavy

    settings = _settings(
        data_dir=data_dir,
        grpc_port=grpc_port,
        http_port=http_port,
        plugin=plugin.value if plugin else None,
        postgres=postgres,
    )
    _guarded(lambda: run_engine(settings))


@app.command()
def demo(*, data_dir: DataDirOption = None) -> None:
    """Register and run an example, show its progress and its result.

    It takes the engine that runs on the data folder, or starts one for itself.
    """
    from gateway.cli.commands.process.demo import demo as run_demo  # noqa: PLC0415 - heavy

    settings = _settings(data_dir=data_dir)
    _guarded(lambda: asyncio.run(run_demo(settings)))


@app.command()
def status(*, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Tell whether an engine runs, where, and how many executions it has.

    Ends with 0 if one does, else with 3.
    """
    from gateway.cli.commands.process import status as command  # noqa: PLC0415 - heavy

    settings = _settings(data_dir=data_dir)
    _guarded(lambda: asyncio.run(command.show(settings, json=json)))


@events_app.command("show")
def events_show(
    execution: ExecutionArgument,
    *,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Print every event of an execution; with --json one object a line."""
    from gateway.cli.commands.log import events  # noqa: PLC0415 - heavy

    _reading(data_dir, lambda session: events.show(session, execution, json=json))


@events_app.command("tail")
def events_tail(
    execution: Annotated[
        str | None,
        typer.Argument(metavar="[EXECUTION]", help="All executions, if left out."),
    ] = None,
    *,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
    from_start: Annotated[
        bool, typer.Option(help="Begin with the oldest event, not with news.")
    ] = False,
) -> None:
    """Print events as they happen: of one execution until it ends, or of all."""
    from gateway.cli.commands.log import events  # noqa: PLC0415 - heavy

    _reading(
        data_dir,
        lambda session: events.tail(
            session, execution, json=json, from_start=from_start
        ),
    )


@app.command()
def state(
    execution: ExecutionArgument,
    *,
    at: Annotated[
        int | None,
        typer.Option(min=1, metavar="SEQUENCE", help="As of this event, not of now."),
    ] = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Print the state of an execution, folded from its events."""
    from gateway.cli.commands.executions import state as command  # noqa: PLC0415 - heavy

    _reading(data_dir, lambda session: command.show(session, execution, at, json=json))


@app.command()
def replay(
    *,
    swap: Annotated[
        bool, typer.Option("--swap", help="Put the rebuilt rows in place.")
    ] = False,
    begin: BeginOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Fold the views anew from the log, beside the live ones, and compare them.

    Ends with 1 where they differ. With --swap the rebuilt rows take the place of the
    live ones, in one transaction. An engine may run meanwhile: its views stand still
    while they are compared. On Kafka an empty Postgres gets its registry back, too.
    """
    from gateway.cli.commands.log import replay as command  # noqa: PLC0415 - heavy

    _reading(
        data_dir, lambda session: command.run(session, begin, swap=swap, json=json)
    )


@app.command()
def verify(
    *,
    begin: BeginOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Check the log itself, and the executions in the views against it.

    Sequences without gap or repeat, legal moves of phases, one ending with nothing
    after it, every node ended by then, parents and children that agree. Ends with 1
    where something is wrong.
    """
    from gateway.cli.commands.log import verify as command  # noqa: PLC0415 - heavy

    _reading(data_dir, lambda session: command.run(session, begin, json=json))


@app.command()
def delete(
    execution: ExecutionArgument,
    *,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Delete an execution that has ended: its rows, its blobs, its children.

    What its cached tasks had kept for reuse goes too. Its events stay on the log, with
    one more that tells of the deletion, and its name stays taken. Blobs that a recovery
    of it uses stay as long as that one.
    """
    from gateway.cli.commands.executions import delete as command  # noqa: PLC0415 - heavy

    _reading(data_dir, lambda session: command.delete(session, execution, json=json))


@cache_app.command("evict")
def cache_evict(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="project/domain/name, no version.")
    ],
    *,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Let a task run anew, whatever outputs of it are kept: in all its versions.

    What it makes from now on is kept and reused again.
    """
    from gateway.cli.commands.executions import cache  # noqa: PLC0415 - heavy

    _reading(data_dir, lambda session: cache.evict(session, task, json=json))


@app.command()
def logs(
    execution: ExecutionArgument,
    node: Annotated[
        str | None, typer.Argument(help="A node's id; every node, if left out.")
    ] = None,
    *,
    attempt: Annotated[
        int | None, typer.Option(min=0, help="An attempt, from 0; the last by default.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print what an execution's tasks wrote to stdout and stderr."""
    from gateway.cli.commands.executions import logs as command  # noqa: PLC0415 - heavy

    _reading(data_dir, lambda session: command.show(session, execution, node, attempt))


if __name__ == "__main__":
    main()
