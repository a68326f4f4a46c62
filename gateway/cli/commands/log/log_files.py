"""`flightlog log export|import`: the whole log to a file, and back."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.session.session import Session
from gateway.cli.session.writable_log import open_log
from gateway.version import version
from infra.eventlog import avro_file
from infra.eventlog.event_store import EventStore
from projections.migrate import migrate
from schemas import topics
from workers.operations import backup


async def export(session: Session, file: Path, *, force: bool, json: bool) -> None:
    """Write the log to a file; the file appears once it is whole."""
    _check_free(file, force=force)
    counts: Counter[str] = Counter()
    about = {"flightlog.version": version()}
    async with open_log(session) as log, _registry(session) as store:
        ends = await log.end((topics.EVENTS,))
        bar = _bar(quiet=json)
        task = bar.add_task("exporting", total=sum(ends.values()))
        with bar, avro_file.writing(file, about) as out:
            async for records in backup.taken(log, store):
                out.write(records)
                counts.update(record.topic for record in records)
                bar.update(task, completed=counts[topics.EVENTS])
                await asyncio.sleep(0)
    _tell("exported", file, counts, json=json)


async def import_(session: Session, file: Path, *, json: bool) -> None:
    """Append an exported log to an empty one; the file is checked as a whole first."""
    counts, size = await asyncio.to_thread(_counted, file)
    engine = session.data.address()
    if engine is not None and not session.settings.kafka.servers:
        raise CommandError(
            f"Expected an empty log, but an engine (pid {engine.pid}) runs on "
            f"{session.data.path}"
        )
    await asyncio.to_thread(migrate, session.url)
    async with open_log(session, owned=True) as log, _registry(session) as store:
        bar = _bar(quiet=json)
        task = bar.add_task("importing", total=size)
        with bar:
            await backup.put_back(
                avro_file.reading(file, backup.PAGE),
                log,
                store,
                lambda read: bar.update(task, completed=read),
            )
    _tell("imported", file, counts, json=json)


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
    """Read a file whole; return how many records it has on each topic, and its size."""
    if not file.is_file():
        raise CommandError(f"Expected {file} to exist, but it doesn't", ExitCode.USAGE)
    counts: Counter[str] = Counter()
    for records, _ in avro_file.reading(file, backup.PAGE):
        counts.update(record.topic for record in records)
    return counts, file.stat().st_size


@asynccontextmanager
async def _registry(session: Session) -> AsyncIterator[EventStore]:
    store = EventStore(session.url)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


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


def _tell(what: str, file: Path, counts: Counter[str], *, json: bool) -> None:
    if json:
        found: dict[str, Any] = {
            "file": str(file),
            "bytes": file.stat().st_size,
            "records": dict(counts),
        }
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    typer.echo(
        f"{what} {sum(counts.values()):,} records ({file.stat().st_size:,} bytes)"
    )
    for topic, count in sorted(counts.items()):
        typer.echo(f"  {topic.removeprefix('flightlog.'):<14} {count:,}")
