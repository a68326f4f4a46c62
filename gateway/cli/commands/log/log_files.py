"""`flightlog log export|import`: writes the whole log to a file, and reads it."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from gateway.bootstrap.logs import open_store
from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.json_output import print_json
from gateway.cli.session.session import Session
from gateway.cli.session.writable_log import open_log
from gateway.version import version
from infra.eventlog import avro_file
from projections.migrate import migrate
from schemas import topics
from workers.operations import backup


async def export(session: Session, file: Path, *, force: bool, json: bool) -> None:
    """Write the log to a file; the file appears once it is complete."""
    _check_free(file, force=force)
    counts: Counter[str] = Counter()
    about = {"flightlog.version": version()}
    async with open_log(session) as log, open_store(session.url) as store:
        ends = await log.end_positions((topics.EVENTS,))
        bar = _bar(quiet=json)
        task = bar.add_task("exporting", total=sum(ends.values()))
        with bar, avro_file.open_writer(file, about) as out:
            async for records in backup.backup_pages(log, store):
                out.write(records)
                counts.update(record.topic for record in records)
                bar.update(task, completed=counts[topics.EVENTS])
                await asyncio.sleep(0)
    _print("exported", file, counts, json=json)


async def import_(session: Session, file: Path, *, json: bool) -> None:
    """Append an exported log to an empty one; the whole file is checked first."""
    counts, size = await asyncio.to_thread(_counted, file)
    engine = session.data.address()
    if engine is not None and not session.settings.kafka.bootstrap_servers:
        raise CommandError(
            f"Expected an empty log, but an engine (pid {engine.pid}) is running on "
            f"{session.data.path}"
        )
    await asyncio.to_thread(migrate, session.url)
    async with open_log(session, owned=True) as log, open_store(session.url) as store:
        bar = _bar(quiet=json)
        task = bar.add_task("importing", total=size)
        with bar:
            await backup.restore_backup(
                avro_file.read_pages(file, backup.PAGE),
                log,
                store,
                lambda read: bar.update(task, completed=read),
            )
    _print("imported", file, counts, json=json)


def _check_free(file: Path, *, force: bool) -> None:
    if file.exists() and not force:
        raise CommandError(
            f"Expected {file} not to exist, but it does; --force replaces it",
            ExitCode.USAGE,
        )
    if not file.absolute().parent.is_dir():
        raise CommandError(
            f"Expected the folder of {file} to exist, but it doesn't", ExitCode.USAGE
        )


def _counted(file: Path) -> tuple[Counter[str], int]:
    """Read the whole file; return its number of records by topic, and its size."""
    if not file.is_file():
        raise CommandError(f"Expected {file} to exist, but it doesn't", ExitCode.USAGE)
    counts: Counter[str] = Counter()
    for records, _ in avro_file.read_pages(file, backup.PAGE):
        counts.update(record.topic for record in records)
    return counts, file.stat().st_size


def _bar(*, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
        transient=True,
    )


def _print(done: str, file: Path, counts: Counter[str], *, json: bool) -> None:
    size = file.stat().st_size
    if json:
        print_json({"file": str(file), "bytes": size, "records": {**counts}})
        return
    typer.echo(f"{done} {sum(counts.values()):,} records ({size:,} bytes)")
    for topic, count in sorted(counts.items()):
        typer.echo(f"  {topic.removeprefix('flightlog.'):<14} {count:,}")
