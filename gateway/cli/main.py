"""Entry point of the command line: commands, options, exit codes."""

from __future__ import annotations

import asyncio
import gc
from typing import Annotated

import typer

from gateway.cli import standard_streams, start
from gateway.cli.groups import (
    dead_letters,
    log,
    notify,
    passed_over,
    positions,
    topics,
    upgrade,
)
from gateway.cli.options import (
    EXITS,
    STREAM_HELP,
    BeginOption,
    DataDirOption,
    ExecutionArgument,
    GrpcPortOption,
    HttpPortOption,
    JsonOption,
    PluginName,
    StreamArgument,
    load_settings,
    run_command,
    run_on_session,
)
from gateway.version import version

app = typer.Typer(
    help="Flightlog runs Flyte workflows and records every phase change as an event.",
    epilog=EXITS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
events_app = typer.Typer(
    help="The events of executions, in order, each with its cause.",
    epilog=EXITS,
    no_args_is_help=True,
)
app.add_typer(events_app, name="events")
cache_app = typer.Typer(
    help="Cached outputs of tasks.", epilog=EXITS, no_args_is_help=True
)
app.add_typer(cache_app, name="cache")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(log.app, name="log")
app.add_typer(notify.app, name="notify")
app.add_typer(passed_over.app, name="passed-over")
app.add_typer(positions.app, name="positions")
app.add_typer(start.app, name="start")
app.add_typer(topics.app, name="topics")
app.add_typer(upgrade.app, name="upgrade")


def main() -> None:
    """Run the command line."""
    gc.disable()  # a tenth of a start is looking for what imports don't leave
    from infra.task_environment import run_in_utf8  # noqa: PLC0415 - heavy

    run_in_utf8()
    standard_streams.prepare()
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
    """Flightlog runs Flyte workflows and records every phase change as an event."""
    del show_version


@app.command()
def up(
    *,
    data_dir: DataDirOption = None,
    grpc_port: GrpcPortOption = None,
    http_port: HttpPortOption = None,
    plugin: Annotated[
        PluginName | None,
        typer.Option(help="How tasks run: in warm processes, or echoing their inputs."),
    ] = None,
    postgres: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Use this Postgres instead of the embedded one."
        ),
    ] = None,
) -> None:
    """Start an embedded engine: gateway, propeller, projector, runner in one process.

    It listens on 127.0.0.1 and runs until Ctrl-C. After a stop or a crash, the next
    start continues from the log.
    """
    from infra.task_environment import disable_grpc_fork_handlers  # noqa: PLC0415 - before gRPC

    disable_grpc_fork_handlers()
    from gateway.cli.commands.process.up import up as run_engine  # noqa: PLC0415 - heavy

    settings = load_settings(
        data_dir=data_dir,
        grpc_port=grpc_port,
        http_port=http_port,
        plugin=plugin.value if plugin else None,
        postgres=postgres,
    )
    run_command(lambda: run_engine(settings), logs_json=settings.log_json)


@app.command()
def demo(*, data_dir: DataDirOption = None) -> None:
    """Register and run an example workflow; show its progress and its outputs.

    Uses the engine that runs on the data folder, or starts one for the demo.
    """
    from gateway.cli.commands.process.demo import demo as run_demo  # noqa: PLC0415 - heavy

    settings = load_settings(data_dir=data_dir)
    run_command(lambda: asyncio.run(run_demo(settings)))


@app.command()
def status(*, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Show whether an engine is running, its addresses and its executions by phase.

    Exits with 0 if one is running, else with 3.
    """
    from gateway.cli.commands.process import status as command  # noqa: PLC0415 - heavy

    settings = load_settings(data_dir=data_dir)
    run_command(lambda: asyncio.run(command.show(settings, json=json)))


@events_app.command("show")
def events_show(
    execution: StreamArgument,
    *,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Print every event of a stream; with --json, one object per line."""
    from gateway.cli.commands.log import events  # noqa: PLC0415 - heavy

    run_on_session(data_dir, lambda session: events.show(session, execution, json=json))


@events_app.command("tail")
def events_tail(
    execution: Annotated[
        str | None,
        typer.Argument(metavar="[EXECUTION]", help=STREAM_HELP + "; all by default."),
    ] = None,
    *,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
    from_start: Annotated[
        bool, typer.Option(help="Start with the oldest event instead of new ones.")
    ] = False,
) -> None:
    """Print events as they are written: of one execution until it ends, or of all."""
    from gateway.cli.commands.log import events  # noqa: PLC0415 - heavy

    run_on_session(
        data_dir,
        lambda session: events.tail(
            session, execution, json=json, from_start=from_start
        ),
    )


@app.command()
def state(
    execution: StreamArgument,
    *,
    at: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="SEQUENCE", help="As of this event; the latest by default."
        ),
    ] = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Print the state of a stream, folded from its events up to a sequence."""
    from gateway.cli.commands.log import state as command  # noqa: PLC0415 - heavy

    run_on_session(
        data_dir, lambda session: command.show(session, execution, at, json=json)
    )


@app.command()
def replay(
    *,
    swap: Annotated[
        bool,
        typer.Option("--swap", help="Replace the live rows with the rebuilt ones."),
    ] = False,
    begin: BeginOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Rebuild all read models from the event log in a shadow schema and compare them.

    Exits with 1 if they differ from the live ones. With --swap the rebuilt rows replace
    the live ones in one transaction. An engine may be running: its projector waits
    during the comparison. With the log on Kafka, an empty Postgres gets its registry
    back, too.
    """
    from gateway.cli.commands.log import replay as command  # noqa: PLC0415 - heavy

    run_on_session(
        data_dir, lambda session: command.run(session, begin, swap=swap, json=json)
    )


@app.command()
def verify(
    *,
    begin: BeginOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Check the event log, and compare the executions in the read models with it.

    Checks that sequences have no gap or repeat, phase transitions are legal, nothing
    follows a terminal event, all nodes are terminal by then, and parents and children
    agree. Exits with 1 if anything is wrong.
    """
    from gateway.cli.commands.log import verify as command  # noqa: PLC0415 - heavy

    run_on_session(data_dir, lambda session: command.run(session, begin, json=json))


@app.command()
def delete(
    execution: ExecutionArgument,
    *,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Delete a terminal execution: its rows, its blobs and its child executions.

    Cached outputs that it produced are deleted, too. Its events stay on the log, with
    one more that records the deletion, and its name can't be used again. Blobs that a
    recovery of it refers to are kept as long as that recovery.
    """
    from gateway.cli.commands.executions import delete as command  # noqa: PLC0415 - heavy

    run_on_session(
        data_dir, lambda session: command.delete(session, execution, json=json)
    )


@cache_app.command("evict")
def cache_evict(
    task: Annotated[
        str,
        typer.Argument(metavar="TASK", help="project/domain/name, without a version."),
    ],
    *,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Evict the cached outputs of a task, of all its versions: it will run again.

    Outputs of later runs are cached as usual.
    """
    from gateway.cli.commands.executions import cache  # noqa: PLC0415 - heavy

    run_on_session(data_dir, lambda session: cache.evict(session, task, json=json))


@app.command()
def logs(
    execution: ExecutionArgument,
    node: Annotated[
        str | None, typer.Argument(help="The id of a node; all nodes by default.")
    ] = None,
    *,
    attempt: Annotated[
        int | None,
        typer.Option(min=0, help="The attempt, from 0; the last one by default."),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print what the tasks of an execution wrote to stdout and stderr."""
    from gateway.cli.commands.executions import logs as command  # noqa: PLC0415 - heavy

    run_on_session(
        data_dir, lambda session: command.show(session, execution, node, attempt)
    )


if __name__ == "__main__":
    main()
