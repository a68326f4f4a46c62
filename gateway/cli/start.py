"""`flightlog start`: its words and options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import (
    EXITS,
    DataDirOption,
    DoorPortOption,
    GrpcPortOption,
    PluginName,
    guarded,
    settings_of,
)

if TYPE_CHECKING:
    from infra.settings import Settings

app = typer.Typer(
    help="Run one role of an engine: on Kafka, a Postgres and a blob store that all "
    "roles share. Settings come from FLIGHTLOG_* and the TOML file that "
    "FLIGHTLOG_CONFIG names.",
    epilog=EXITS,
    no_args_is_help=True,
)

HttpPortOption = Annotated[
    int | None,
    typer.Option(
        "--http-port",
        min=0,
        max=65535,
        help="Where /healthz and /metrics are; FLIGHTLOG_HTTP_PORT, or any port.",
    ),
]


@app.command()
def gateway(
    *,
    data_dir: DataDirOption = None,
    grpc_port: GrpcPortOption = None,
    http_port: DoorPortOption = None,
) -> None:
    """Serve clients: gRPC and REST. Commands go onto the log, answers come from views.

    Any number may run, each with ports of its own.
    """
    settings = settings_of(data_dir=data_dir, grpc_port=grpc_port, http_port=http_port)
    _start("gateway", settings)


@app.command()
def propeller(
    *, data_dir: DataDirOption = None, http_port: HttpPortOption = None
) -> None:
    """Handle commands: decide what follows, and append it to the log.

    Any number may run, up to one for each partition of the commands topic.
    """
    _start("propeller", _without_door(data_dir=data_dir, http_port=http_port))


@app.command()
def projector(
    *, data_dir: DataDirOption = None, http_port: HttpPortOption = None
) -> None:
    """Fold events into the views in Postgres.

    Any number may run, up to one for each partition of the events topic.
    """
    _start("projector", _without_door(data_dir=data_dir, http_port=http_port))


@app.command()
def runner(
    *,
    data_dir: DataDirOption = None,
    http_port: HttpPortOption = None,
    plugin: Annotated[
        PluginName | None,
        typer.Option(help="Run tasks in warm processes, or let them echo inputs."),
    ] = None,
) -> None:
    """Carry out what propellers dispatch: run tasks, read and write blobs.

    Any number may run, up to one for each partition of the dispatches topic.
    """
    name = plugin.value if plugin else None
    found = _without_door(data_dir=data_dir, http_port=http_port, plugin=name)
    _start("runner", found)


def _without_door(**given: object) -> Settings:
    """Return the settings of a role whose port nobody needs to know beforehand."""
    settings = settings_of(**given)
    if "http_port" in settings.model_fields_set:
        return settings
    return settings_of(**(given | {"http_port": 0}))


def _start(role: str, settings: Settings) -> None:
    from infra.task_environment import leave_forks_alone  # noqa: PLC0415 - before gRPC

    leave_forks_alone()
    from gateway.cli.commands.process.start import start  # noqa: PLC0415 - heavy

    guarded(lambda: start(role, settings))
