"""`flightlog logs`: prints what tasks wrote to stdout and stderr."""

from __future__ import annotations

import sys

from rich.console import Console

from gateway.cli.commands.log.events import not_found
from gateway.cli.commands.log.state import fold
from gateway.cli.errors import CommandError
from gateway.cli.session.session import Session
from gateway.executions.task_logs import AttemptLogs
from infra.blobs.files import Blobs
from schemas.ids import execution_stream
from workers.propeller.kinds.executions import EXECUTIONS


async def show(
    session: Session, text: str, node_id: str | None, attempt: int | None
) -> None:
    """Print the logs of one node's attempt, or of each node's last attempt."""
    ref = await session.execution(text)
    stream = execution_stream(ref)
    folded = await fold(session, EXECUTIONS, stream)
    if not folded.sequence:
        raise not_found(stream)
    ran = {key: node for key, node in folded.state.nodes.items() if node.task}
    if node_id is not None and node_id not in ran:
        known = ", ".join(sorted(ran)) or "none"
        raise CommandError(
            f"Expected a node that ran a task, but '{node_id}' isn't one of: {known}"
        )
    chosen = [node_id] if node_id is not None else sorted(ran)
    console, logs = Console(highlight=False), AttemptLogs(session.blobs, of_many=True)
    printed = 0
    for key in chosen:
        number = ran[key].attempt if attempt is None else attempt
        uri = await logs.find(ran[key].input_path, number)
        if uri is not None:
            if len(chosen) > 1:
                console.print(f"[bold cyan]── {key}, attempt {number}[/]")
            await _copy(session.blobs, uri)
            printed += 1
    if not printed:
        where = f"{ref.text()} {node_id}" if node_id else ref.text()
        Console(stderr=True).print(f"{where} has written nothing")


async def _copy(blobs: Blobs, uri: str) -> None:
    sys.stdout.flush()
    async for chunk in blobs.stream(uri):
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
