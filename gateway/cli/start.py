"""Options of `flightlog start`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import (
    EXITS,
    DataDirOption,
    GrpcPortOption,
    HttpPortOption,
    Option,
    PluginName,
    load_settings,
    run_command,
)

if TYPE_CHECKING:
    from infra.settings import Settings

app = typer.Typer(
    help="Run one role as a process of its own, on the Kafka, Postgres and blob store "
    "that all roles share. Settings come from FLIGHTLOG_* and from the TOML file named "
    "by FLIGHTLOG_CONFIG.",
    epilog=EXITS,
    no_args_is_help=True,
)

HealthPortOption = Annotated[
    int | None,
    typer.Option(
        "--http-port",
        min=0,
        max=65535,
        help="Port of /healthz and /metrics; FLIGHTLOG_HTTP_PORT, or any free port.",
    ),
]


@app.command()
def gateway(
    *,
    data_dir: DataDirOption = None,
    grpc_port: GrpcPortOption = None,
    http_port: HttpPortOption = None,
) -> None:
    """Serve clients over gRPC and REST: append commands, answer from the read models.

    Any number can run.
    """
    settings = load_settings(
        data_dir=data_dir, grpc_port=grpc_port, http_port=http_port
    )
    _start("gateway", settings)


@app.command()
def propeller(
    *, data_dir: DataDirOption = None, http_port: HealthPortOption = None
) -> None:
    """Consume commands, compute the resulting events and append them to the log.

    Any number can run; those beyond the number of partitions of the commands topic
    stand by.
    """
    _start("propeller", _worker_settings(data_dir=data_dir, http_port=http_port))


@app.command()
def projector(
    *, data_dir: DataDirOption = None, http_port: HealthPortOption = None
) -> None:
    """Project events into the read models in Postgres.

    Any number can run; those beyond the number of partitions of the events topic stand
    by.
    """
    _start("projector", _worker_settings(data_dir=data_dir, http_port=http_port))


@app.command()
def runner(
    *,
    data_dir: DataDirOption = None,
    http_port: HealthPortOption = None,
    plugin: Annotated[
        PluginName | None,
        typer.Option(help="How tasks run: in warm processes, or echoing their inputs."),
    ] = None,
) -> None:
    """Carry out dispatches: run tasks, read and write blobs.

    Any number can run; those beyond the number of partitions of the dispatches topic
    stand by.
    """
    name = plugin.value if plugin else None
    found = _worker_settings(data_dir=data_dir, http_port=http_port, plugin=name)
    _start("runner", found)


def _worker_settings(**given: Option) -> Settings:
    """Return the settings of a worker, whose HTTP port is any free one by default."""
    settings = load_settings(**given)
    if "http_port" in settings.model_fields_set:
        return settings
    return load_settings(**(given | {"http_port": 0}))


def _start(role: str, settings: Settings) -> None:
    from infra.task_environment import disable_grpc_fork_handlers  # noqa: PLC0415 - before gRPC

    disable_grpc_fork_handlers()
    from gateway.cli.commands.process.start import start  # noqa: PLC0415 - heavy

    run_command(lambda: start(role, settings), logs_json=settings.log_json)
