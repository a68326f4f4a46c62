"""`flightlog state`: the state of an execution as of any of its events."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from domain.execution.state.evolve import evolve
from domain.execution.state.node import Node
from domain.execution.state.state import Execution
from gateway.cli.commands.log.events import instant, not_found
from gateway.cli.errors import CommandError
from gateway.cli.json_output import JsonObject, print_json, to_object
from gateway.cli.session.session import Session
from schemas.ids import ExecutionRef, execution_stream
from schemas.values import Failure
from schemas.wire import codec

_WIDTH = 200
"""Width of a table that is written to a file or a pipe."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A state, and the sequence and time of its last event."""

    state: Execution
    sequence: int = 0
    recorded_at_us: int = 0


async def fold(session: Session, ref: ExecutionRef, at: int | None) -> Folded:
    """Return an execution's state as of a sequence, or as of now."""
    folded = Folded(Execution())
    async for page in session.log.stream(execution_stream(ref)):
        for received in page:
            if at is not None and received.envelope.sequence > at:
                return folded
            folded = Folded(
                evolve(folded.state, codec.decode(received.body)),
                received.envelope.sequence,
                received.envelope.recorded_at_us,
            )
    return folded


async def show(session: Session, text: str, at: int | None, *, json: bool) -> None:
    """Print an execution's state."""
    ref = await session.execution(text)
    folded = await fold(session, ref, at)
    if not folded.sequence:
        raise not_found(ref)
    if at is not None and folded.sequence < at:
        raise CommandError(
            f"Expected an event {at} of {ref.text()}, but the last one is "
            f"{folded.sequence}"
        )
    if json:
        print_json(as_json(ref, folded))
    else:
        _print(ref, folded)


def as_json(ref: ExecutionRef, folded: Folded) -> JsonObject:
    """Return a state as `--json` prints it."""
    state = folded.state
    return {
        "execution": ref.text(),
        "sequence": folded.sequence,
        "time": instant(folded.recorded_at_us),
        "phase": state.phase.value,
        "failure": _failure(state.failure),
        "parked": to_object(state.parked) if state.parked else None,
        "active": [*sorted(state.active)],
        "nodes": {key: _node(node) for key, node in sorted(state.nodes.items())},
    }


def _node(node: Node) -> JsonObject:
    return {
        "kind": node.site.kind,
        "spec_node_id": node.site.spec_node_id,
        "parent_id": node.site.parent_id,
        "phase": node.phase.value,
        "attempt": node.attempt,
        "task": node.task.phase.value if node.task else None,
        "runner": _runner(node),
        "dispatch_no": node.task.dispatch_no if node.task else 0,
        "chosen": node.chosen_arm or "",
        "child": node.child.execution.text() if node.child else "",
        "last_failure": _failure(node.last_failure),
    }


def _runner(node: Node) -> str:
    """Return the runner that holds the node's attempt; '' without one."""
    return node.task.lease.runner if node.task and node.task.lease else ""


def _note(node: Node) -> str:
    if node.child is not None:
        return node.child.execution.text()
    return f"chose {node.chosen_arm}" if node.chosen_arm else ""


def _failure(failure: Failure | None) -> JsonObject | None:
    return None if failure is None else to_object(failure)


def _print(ref: ExecutionRef, folded: Folded) -> None:
    console, state = Console(highlight=False, soft_wrap=True), folded.state
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(
        f"[bold]{ref.text()}[/] is [bold]{state.phase.value}[/] as of event "
        f"{folded.sequence} ({instant(folded.recorded_at_us)})"
    )
    if state.failure is not None:
        console.print(f"[red]{state.failure.code}[/]: {escape(state.failure.message)}")
    if state.parked is not None:
        console.print(
            f"[red]parked[/]: {state.parked.command_type} could not be handled: "
            f"{escape(state.parked.error)}; 'flightlog dead-letters redrive' resumes it"
        )
    table = Table(box=None, header_style="dim")
    for heading in ("node", "kind", "phase", "attempt", "task", "runner", "note"):
        table.add_column(heading, no_wrap=True)
    for key, node in sorted(state.nodes.items()):
        table.add_row(
            key,
            node.site.kind,
            node.phase.value,
            str(node.attempt),
            node.task.phase.value if node.task else "",
            _runner(node),
            _note(node),
        )
    console.print(table)
