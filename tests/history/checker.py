"""Checks a history from outside: the log's events against the clients' own record.

It shares no code with the engine and needs the standard library only. Two inputs, both
one JSON object a line:

- the events, as `flightlog events tail --from-start --json` prints those of all
  streams (or `events show … --json` those of one), each stream in its order;
- the journal of the clients, `at` and `began` by one clock of theirs:
  - {"say": "sent", "at", "client", "id", "type", "stream", "fields", "ends"}: a command
    was sent. `fields` are of the event that it leads to, where a stream may have
    several; `ends` is the model's: how the execution must end, {"phase", "outputs"}.
  - {"say": "told", "at", "client", "id", "answer", "detail"}: its answer: `done`,
    `refused`, or `unknown` (a time limit, a lost connection). A command without an
    answer is unknown. One that was sent again has the same id.
  - {"say": "read", "began", "at", "client", "stream", "saw"}: what was seen of a
    stream; `saw` has some of `phase` (NOT_FOUND of what isn't there), `nodes` (the
    phase of each node), `outputs`, and `sequence` (that of the last event shown).

A client does one thing at a time. `check` returns one sentence for each lie:
1. A stream's events are 1, 2, 3, … with one beginning and one end; nothing in it ends
   twice; a command's events stand together, none of them twice; a child has the parent
   that asked for it.
2. An acknowledged command has its effect exactly once, a refused one none, one whose
   answer is unknown at most once. A command whose id is the log's own (one that was
   published) is found by its id, others by the event that they lead to.
3. Every read shows what the events up to one of them make, none earlier than what that
   client read or was told before, and none caused by what was sent only later.
4. Every execution ends as the model says; its outputs are the model's, as the log has
   them and as clients read them.
"""

from __future__ import annotations

import base64
import json
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

Json = dict[str, Any]

ENDINGS = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionAborted": "ABORTED",
    "ExecutionTimedOut": "TIMED_OUT",
}
PHASES = ENDINGS | {
    "ExecutionCreated": "QUEUED",
    "ExecutionStarted": "RUNNING",
    "ExecutionSucceeding": "SUCCEEDING",
    "ExecutionFailing": "FAILING",
    "ExecutionAborting": "ABORTING",
    "ExecutionDeleted": "NOT_FOUND",
}
NODE_PHASES = {
    "NodeQueued": "QUEUED",
    "NodeStarted": "RUNNING",
    "NodeExpanded": "DYNAMIC_RUNNING",
    "NodeSucceeded": "SUCCEEDED",
    "NodeFailed": "FAILED",
    "NodeTimedOut": "TIMED_OUT",
    "NodeAborted": "ABORTED",
    "NodeSkipped": "SKIPPED",
    "NodeRecovered": "RECOVERED",
}
NODE_ENDINGS = set(NODE_PHASES) - {"NodeQueued", "NodeStarted", "NodeExpanded"}
ATTEMPT_ENDINGS = {"TaskSucceeded", "TaskFailed", "TaskAborted"}
EFFECTS = {
    "CreateExecution": "ExecutionCreated",
    "TerminateExecution": "ExecutionAborting",
    "SetSignal": "SignalSet",
    "DeleteExecution": "ExecutionDeleted",
}
"""What a client's command leads to, of those whose id a client doesn't learn."""
ONCE = {"ExecutionCreated", "ExecutionAborting", "ExecutionDeleted"}
"""A stream has one of each at most."""
CLAIMED = {"ExecutionCreated", "ExecutionAborting"}
"""Of these only the command that led to it is acknowledged, all others are refused."""


def check(events: Iterable[Json], journal: Iterable[Json]) -> list[str]:
    """Return what is wrong; nothing if the history can have happened."""
    streams, answers, found = by_stream(events)
    for name, stream in streams.items():
        found += [f"{name}: {what}" for what in check_stream(stream)]
    found += check_children(streams)
    children = {name for name in streams if streams[name][0]["data"].get("parent")}
    entries = sorted(journal, key=lambda entry: entry["at"])
    commands = commands_of(entries)
    effects = {command["id"]: effects_of(command, streams) for command in commands}
    found += check_commands(commands, effects, answers, children)
    found += check_reads(entries, commands, effects, streams)
    found += check_endings(entries, commands, streams)
    return found


def by_stream(
    events: Iterable[Json],
) -> tuple[dict[str, list[Json]], dict[str, set[str]], list[str]]:
    """Return the events of each stream, the answers to each command, what is wrong."""
    streams: dict[str, list[Json]] = defaultdict(list)
    answers: dict[str, set[str]] = defaultdict(set)
    found = []
    for event in events:
        name, sequence = event["stream"], event["sequence"]
        if not sequence:
            answers[event["causation"]].add(kind(event))
            continue
        stream = streams[name]
        if sequence != len(stream) + 1:
            found.append(f"{name}: sequence {sequence} follows {len(stream)}")
        if event["id"] != f"{name}/{sequence}":
            found.append(f"{name}: event {sequence} has the id {event['id']}")
        stream.append(event)
    return dict(streams), answers, found


def check_stream(stream: list[Json]) -> Iterator[str]:
    """Yield what is wrong with the order of a stream's events, whatever the cause."""
    if stream[0]["stream"].startswith("execution/"):
        if kind(stream[0]) != "ExecutionCreated":
            yield f"begins with {kind(stream[0])}"
        ended = ""
        for event in stream:
            if ended and kind(event) != "ExecutionDeleted":
                yield f"{kind(event)} {event['sequence']} follows {ended}"
            ended = ended or (kind(event) if kind(event) in ENDINGS else "")
    seen: set[object] = set()
    for event in stream:
        for what in unique(event):
            if what in seen:
                yield f"there is a second {what}"
            seen.add(what)
    runs = Counter(cause for cause, _ in groupby(stream, lambda e: e["causation"]))
    for cause in (cause for cause, count in runs.items() if cause and count > 1):
        yield f"the events that {cause} led to don't stand together"


def unique(event: Json) -> Iterator[object]:
    """Yield what an event says that a stream can say once."""
    name, data = kind(event), event["data"]
    if name in ONCE:
        yield name
    if name in NODE_ENDINGS:
        yield "end of node", node_of(event)
    if name in ATTEMPT_ENDINGS:
        yield "end of attempt", data["node_id"], data["attempt"]
    said = {field: data[field] for field in data if field != "occurred_at_us"}
    yield name, event["causation"], json.dumps(said, sort_keys=True)


def check_children(streams: dict[str, list[Json]]) -> Iterator[str]:
    """Yield children without the parent that asked for them, and the reverse."""
    asked: dict[str, str] = {}
    for event in (event for stream in streams.values() for event in stream):
        if kind(event) not in {"ChildRequested", "ChildCreated"}:
            continue
        child = event["data"]["child"]
        name = f"execution/{child['project']}/{child['domain']}/{child['name']}"
        if kind(event) == "ChildCreated" and name not in streams:
            yield f"{event['id']}: its child {name} has no events"
        if kind(event) == "ChildRequested" and name in asked:
            yield f"{event['id']}: {name} was asked for by {asked[name]}, too"
        asked.setdefault(name, event["stream"])
    for name, stream in streams.items():
        parent = stream[0]["data"].get("parent")
        if parent and asked.get(name) != parent["stream"]:
            yield f"{name}: its parent {parent['stream']} didn't ask for it"


def commands_of(entries: list[Json]) -> list[Json]:
    """Return each command that was sent, with the answer that its client got."""
    commands: dict[str, Json] = {}
    for entry in entries:
        if entry["say"] == "sent":
            commands.setdefault(entry["id"], {**entry, "answer": "unknown"})
        elif entry["say"] == "told" and entry["answer"] != "unknown":
            told = {"answer": entry["answer"], "detail": entry.get("detail")}
            commands[entry["id"]] |= told
    return list(commands.values())


def effects_of(command: Json, streams: dict[str, list[Json]]) -> list[Json]:
    """Return the first events of what a command led to: one, if all is well."""
    stream = streams.get(command["stream"], [])
    caused = [event for event in stream if event["causation"] == command["id"]]
    if caused:
        return caused[:1]  # that they stand together was checked
    effect, fields = EFFECTS.get(command["type"]), command.get("fields") or {}
    return [
        event
        for event in stream
        if kind(event) == effect and fields.items() <= event["data"].items()
    ]


def check_commands(
    commands: list[Json],
    effects: dict[str, list[Json]],
    answers: dict[str, set[str]],
    children: set[str],
) -> Iterator[str]:
    """Yield commands whose answer isn't what became of them."""
    alike: dict[tuple[str, str, str], list[Json]] = defaultdict(list)
    for command in commands:
        name = f"{command['stream']}: {command['type']} {command['id']}"
        effect, by_id = effects[command["id"]], answers.get(command["id"], set())
        is_own = any(event["causation"] == command["id"] for event in effect)
        if command["answer"] == "done" and not effect and not by_id:
            yield f"{name} was acknowledged, but has no effect"
        if command["answer"] == "done" and by_id == {"CommandRejected"} and not is_own:
            yield f"{name} was acknowledged, but the log rejected it"
        if command["answer"] == "refused" and is_own:
            yield f"{name} was refused, but has the effect {effect[0]['id']}"
        fields = json.dumps(command.get("fields") or {}, sort_keys=True)
        alike[command["stream"], command["type"], fields].append(command)
    for (stream, type_, fields), group in alike.items():
        effect = effects[group[0]["id"]]
        done = [command["id"] for command in group if command["answer"] == "done"]
        if EFFECTS.get(type_) in CLAIMED and len(done) > 1:
            yield f"{stream}: {type_} was acknowledged to each of {done}"
        others = {command.get("detail") for command in group} & {"ALREADY_EXISTS"}
        may = [command for command in group if command["answer"] != "refused"]
        if len(effect) > len(may) + len(others) and stream not in children:
            effect_ids = [event["id"] for event in effect]
            yield f"{stream}: {len(may)} {type_} {fields} led to {effect_ids}"


class Views:
    """What a stream shows after each of its events; nothing after none."""

    def __init__(self, stream: list[Json]) -> None:
        self.phases, self.outputs = ["NOT_FOUND"], None
        self.nodes: dict[str, list[str | None]] = {}
        for count, event in enumerate(stream, 1):
            self.phases.append(PHASES.get(kind(event), self.phases[-1]))
            if kind(event) == "ExecutionSucceeded":
                self.outputs = outputs_of(event)
            if kind(event) in NODE_PHASES:
                phases = self.nodes.setdefault(node_of(event), [None])
                phases += phases[-1:] * (count - len(phases))
                phases.append(NODE_PHASES[kind(event)])

    def show(self, count: int, saw: Json) -> bool:
        """Return whether this is what was seen after so many events."""
        phase, outputs = self.phases[count], saw.get("outputs")
        for node, seen in saw.get("nodes", {}).items():
            phases = self.nodes.get(node, [None])
            if phases[min(count, len(phases) - 1)] != seen:
                return False
        return (
            saw.get("sequence", count) == count
            and saw.get("phase", phase) == phase
            and (outputs is None or phase == "SUCCEEDED")
            and (outputs is None or self.outputs in (None, outputs))
        )


def check_reads(
    entries: list[Json],
    commands: list[Json],
    effects: dict[str, list[Json]],
    streams: dict[str, list[Json]],
) -> Iterator[str]:
    """Yield reads that no prefix explains, or only one that is too early or late."""
    of_id = {command["id"]: command for command in commands}
    sent: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for command in commands:
        for event in effects[command["id"]]:
            is_told = command["answer"] == "done" and kind(event) in CLAIMED
            if is_told or event["causation"] == command["id"]:
                sent[command["stream"]].append((command["at"], event["sequence"]))
    views: dict[str, Views] = {}
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for entry in (entry for entry in entries if entry["say"] != "sent"):
        stream = entry.get("stream") or of_id[entry["id"]]["stream"]
        key = entry["client"], stream
        if entry["say"] == "told":
            seen[key] = max(seen[key], told_sequence(entry, effects))
            continue
        if stream not in views:
            views[stream] = Views(streams.get(stream, []))
        view = views[stream]
        later = [number - 1 for at, number in sent[stream] if at > entry["at"]]
        counts = range(seen[key], min([len(view.phases) - 1, *later]) + 1)
        found = next((n for n in counts if view.show(n, entry["saw"])), None)
        if found is None:
            saw = f"{entry['client']} saw {entry['saw']} at {entry['at']}"
            yield f"{stream}: {saw}, which no prefix of {counts} events shows"
        else:
            seen[key] = found


def told_sequence(entry: Json, effects: dict[str, list[Json]]) -> int:
    """Return up to which event its client must see from this answer on."""
    if entry["answer"] == "done" and effects[entry["id"]]:
        return int(effects[entry["id"]][0]["sequence"])
    return int(entry.get("detail") == "ALREADY_EXISTS")


def check_endings(
    entries: list[Json], commands: list[Json], streams: dict[str, list[Json]]
) -> Iterator[str]:
    """Yield executions that don't end as the model says, and results that differ."""
    read = defaultdict(list)
    for entry in entries:
        if entry["say"] == "read" and "outputs" in entry["saw"]:
            read[entry["stream"]].append(entry["saw"]["outputs"])
    for command in commands:
        name, ends = command["stream"], command.get("ends")
        if not ends or (command["answer"] != "done" and name not in streams):
            continue
        stream = streams.get(name, [])
        endings = [event for event in stream if kind(event) in ENDINGS]
        phase = ENDINGS[kind(endings[0])] if endings else ""
        if phase != ends["phase"]:
            shown = phase or f"under way after {len(stream)} events"
            yield f"{name}: the model ends {ends['phase']}, the log is {shown}"
            continue
        if "outputs" not in ends:
            continue
        logged = outputs_of(endings[0])
        if logged is None and not read[name]:
            yield f"{name}: its outputs are in a blob, and no client has read them"
        for outputs in [*([] if logged is None else [logged]), *read[name]]:
            if outputs != ends["outputs"]:
                yield f"{name}: the model yields {ends['outputs']}, not {outputs}"


def kind(event: Json) -> str:
    """Return an event's type without its namespace."""
    return str(event["type"].rpartition(".")[2])


def node_of(event: Json) -> str:
    """Return the node that an event is about."""
    data = event["data"]
    return str(data["site"]["node_id"] if "site" in data else data["node_id"])


def outputs_of(event: Json) -> Json | None:
    """Return the outputs that an event has inline; None if it only says where."""
    inline = event["data"].get("outputs", {}).get("inline")
    return None if inline is None else literal_map(base64.b64decode(inline))


def literal_map(data: bytes) -> Json:
    """Return a flyteidl LiteralMap's values by their names."""
    entries = (dict(fields_of(entry)) for _, entry in fields_of(data))
    return {entry[1].decode(): literal(entry.get(2, b"")) for entry in entries}


def literal(data: bytes) -> Any:
    """Return a flyteidl Literal's value; of uncommon scalars the bytes, in base64."""
    number, value = next(fields_of(data), (0, b""))
    if number == 2:
        return [literal(item) for _, item in fields_of(value)]
    if number == 3:
        return literal_map(value)
    number, value = next(fields_of(value), (5, b""))
    if number == 9:
        return literal(dict(fields_of(value)).get(1, b""))
    if number != 1:
        return None if number == 5 else base64.b64encode(value).decode()
    number, value = next(fields_of(value))
    if number == 1:
        return value - (1 << 64) if value >> 63 else value
    if number == 2:
        return struct.unpack("<d", value)[0]
    return bool(value) if number == 4 else value.decode(errors="replace")


def fields_of(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the number and the raw value of each field of a protobuf message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
            yield tag >> 3, value
            continue
        size = {1: 8, 5: 4}.get(tag & 7)
        if size is None:
            size, at = varint(data, at)
        yield tag >> 3, data[at : at + size]
        at += size


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
