"""What is kept of a released log beside it: folded states and rows, as plain JSON.

The kept files name terms of the engine, not its classes: a class may change its shape,
and only the functions here follow it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from domain.execution.state.evolve import evolve
from domain.execution.state.node import Node
from domain.execution.state.state import Execution
from infra.eventlog.contract import Record
from schemas import topics
from schemas.wire import codec

TABLES = (
    "executions", "execution_tags", "node_executions", "task_executions", "catalog",
    "cache_uses", "signals", "deletions", "projects", "tasks", "workflows",
    "launch_plans", "named_entities", "attributes", "execution_states",
)  # fmt: skip
"""Read models whose rows are kept; the journal isn't, as its texts may change."""
_SHOWN_BYTES = 24
_IDENTITIES = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND is_identity = 'YES'
"""

Summary = dict[str, Any]


def summaries(records: Sequence[Record]) -> dict[str, Summary]:
    """Fold the events of a log; return what is kept of each execution's state."""
    states: dict[str, Execution] = defaultdict(Execution)
    counts: Counter[str] = Counter()
    for record in records:
        stream = record.envelope.stream
        if record.topic == topics.EVENTS and record.envelope.sequence:
            counts[stream] += 1
            assert record.envelope.sequence == counts[stream]
            states[stream] = evolve(states[stream], codec.decode(record.body))
    return {
        stream.removeprefix("execution/"): _execution(state, counts[stream])
        for stream, state in sorted(states.items())
    }


def _execution(state: Execution, events: int) -> Summary:
    found = {
        "failure": _failure(state.failure),
        "outputs": _values(state.outputs),
        "deadline_us": state.deadline_us,
        "parked": state.parked.command_type if state.parked else None,
        "deleted": state.is_deleted,
        "slots": state.slots,
        "active": sorted(state.active),
        "signals": {k: s.value is not None for k, s in sorted(state.signals.items())},
        "nodes": {key: _node(node) for key, node in sorted(state.nodes.items())},
    }
    return {"phase": state.phase.value, "events": events} | _told(found)


def _node(node: Node) -> Summary:
    task, retries = node.task, node.retries
    lease = task.lease if task else None
    found = {
        "attempt": node.attempt,
        "system_failures": retries.system_failures,
        "task": task.phase.value if task else None,
        "dispatch": task.dispatch_no if task else 0,
        "runner": lease.runner if lease else "",
        "exit_code": task.exit_code if task else None,
        "deadline_us": node.limits.deadline_us,
        "expires_at_us": node.limits.expires_at_us,
        "wakes_at_us": retries.retry_at_us or node.sleeps_until_us,
        "start_by_us": task.start_by_us if task else None,
        "memory_factor": retries.memory_factor
        if retries.memory_factor != 1.0
        else None,
        "chosen": node.chosen_arm,
        "child": node.child.execution.text() if node.child else None,
        "child_exists": node.child.is_created if node.child else False,
        "failure": _failure(node.last_failure),
        "inputs": _values(node.inputs),
        "outputs": _values(node.outputs),
        "cached": node.cache is not None and node.cache.key is not None,
        "awaits_outputs": node.awaits_outputs,
        "expanded": node.dynamic_closure is not None,
        "array": None if node.array is None else _array(node.array),
    }
    return {"kind": node.site.kind, "phase": node.phase.value} | _told(found)


def _array(array: Any) -> list[int]:
    return [array.size, array.started, array.succeeded, array.failed]


def _failure(failure: Any) -> list[str] | None:
    return None if failure is None else [failure.kind, failure.code]


def _values(values: Any) -> str | None:
    """Return a few characters that tell values from others."""
    if values is None:
        return None
    told = values.digest or values.uri or (values.inline or b"").hex()
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def _told(found: Summary) -> Summary:
    """Leave out what says nothing."""
    return {key: value for key, value in found.items() if value}


def read_models(url: str) -> dict[str, list[Summary]]:
    """Return the rows of the read models, sorted; long bytes as their hash."""
    with psycopg.connect(url, row_factory=dict_row) as conn:
        drawn = {(r["table_name"], r["column_name"]) for r in conn.execute(_IDENTITIES)}
        found = {table: conn.execute(f"TABLE {table}").fetchall() for table in TABLES}
    return {
        table: sorted(
            ({k: _plain(v) for k, v in row.items() if (table, k) not in drawn}
            for row in rows),
            key=_text,
        )
        for table, rows in found.items()
    }  # fmt: skip


def _text(row: Summary) -> str:
    return json.dumps(row, sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if not isinstance(value, bytes | memoryview):
        return value
    data = bytes(value)
    if len(data) <= _SHOWN_BYTES:
        return data.hex()
    return f"sha256:{hashlib.sha256(data).hexdigest()[:16]} of {len(data)} bytes"


def write_states(path: Path, records: Sequence[Record]) -> None:
    """Keep the states of a log's executions, an execution a line."""
    types = dict(sorted(Counter(r.envelope.type for r in records).items()))
    found = summaries(records).items()
    lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in found)
    head = json.dumps({"records": types}, indent=1)[:-2]
    path.write_text(f'{head},\n "executions": {{\n{lines}\n }}\n}}\n')


def write_rows(path: Path, rows: dict[str, list[Summary]]) -> None:
    """Keep rows, compressed, a row a line."""
    lines = [_text({"table": t, "row": row}) for t in rows for row in rows[t]]
    path.write_bytes(gzip.compress("\n".join(lines).encode(), 9, mtime=0))


def read_rows(path: Path) -> dict[str, list[Summary]]:
    """Return kept rows by their table."""
    found: dict[str, list[Summary]] = {table: [] for table in TABLES}
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        told = json.loads(line)
        found[told["table"]].append(told["row"])
    return found
