"""How long texts of commands and of registered entities may be; pure.

Deciders and admission reject what is longer: texts become keys, columns and headers,
and are repeated in the events of every node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flyteidl.admin import execution_pb2
from google.protobuf.message import Message

from schemas.envelope import Envelope
from schemas.ids import CatalogKey, EntityRef, ExecutionRef, execution_of
from schemas.messages import commands as c
from schemas.messages.rejections import Reason, Rejected

PART_BYTES_MAX = 511
"""Of a part of an id; four parts make a key, and Postgres takes no key above 2,704."""
KEY_BYTES_MAX = 500
"""Of a tag, a signal's id, or a stream: of what is found by an index."""
LABEL_KEY_BYTES_MAX = 317
"""Of a label's key, as in Kubernetes: a DNS name, a slash, and 63 characters."""
TAGS_MAX = 1_000
"""How many tags an execution may have."""
TEXT_BYTES_MAX = 4_096
"""Of each text of a spec that has no other limit."""
VARIABLE_BYTES_MAX = 131_000
"""Of an environment variable, as Linux takes it, or of an annotation."""
SPEC_BYTES_MAX = 1_048_576
"""Of an execution's spec, without inputs."""
CAUSE_BYTES_MAX = 10_000
"""Of the cause of an abort, which every node's event repeats."""
SIGNAL_TYPE_BYTES_MAX = 65_536
"""Of a signal's serialized type."""
SIGNAL_VALUE_BYTES_MAX = 262_144
"""Of a signal's value, which is part of its event; larger ones are blobs."""
ENVELOPE_BYTES_MAX = 1_024
"""Of each text of an envelope, which travels in headers."""
_CHARACTER_BYTES_MAX = 4
"""In UTF-8: most texts are so short that they needn't be encoded to be measured."""
_PUBLIC = frozenset[type](c.PUBLIC)
_NOT_TEXTS = frozenset({"spec.inputs", "spec.fixed_inputs", "spec.default_inputs"})
_LONG_TEXTS = frozenset({"spec.envs", "spec.annotations"})
_ENVELOPE = ("id", "type", "stream", "correlation", "causation", "actor", "traceparent")


def too_long(what: str, text: str | bytes, bytes_max: int) -> str | None:
    """Return what is wrong with a text that is too long."""
    if len(text) <= bytes_max // _CHARACTER_BYTES_MAX:
        return None
    size = len(text if isinstance(text, bytes) else text.encode())
    if size <= bytes_max:
        return None
    return f"Expected {what} of at most {bytes_max} bytes, but it has {size}"


def cut(text: str, bytes_max: int) -> str:
    """Return the beginning of a text that isn't longer than a limit.

    Surrogates, which no message can hold, are escaped.
    """
    data = text.encode(errors="backslashreplace")
    return data[:bytes_max].decode(errors="ignore")


def envelope_violation(envelope: Envelope) -> str | None:
    """Return what is wrong with the lengths of an envelope's texts."""
    for name in _ENVELOPE:
        wrong = too_long(
            f"a command's {name}", getattr(envelope, name), ENVELOPE_BYTES_MAX
        )
        if wrong is not None:
            return wrong
    return None


def rejection(command: c.Command) -> Rejected | None:
    """Return why a command to an execution that exists has texts that are too long."""
    if type(command) not in _PUBLIC:
        return None
    wrong: Iterable[str | None] = ()
    match command:
        case c.TerminateExecution():
            wrong = (
                too_long("a cause", command.cause, CAUSE_BYTES_MAX),
                _principal(command.principal),
            )
        case c.RequestSignal():
            wrong = (
                too_long("a signal id", command.signal_id, KEY_BYTES_MAX),
                too_long("a signal's type", command.type, SIGNAL_TYPE_BYTES_MAX),
            )
        case c.SetSignal():
            wrong = (
                too_long("a signal's value", command.value, SIGNAL_VALUE_BYTES_MAX),
                _principal(command.principal),
            )
        case c.ResumeStream() | c.DeleteExecution():
            wrong = (_principal(command.principal),)
    found = _first(wrong)
    return Rejected(Reason.INVALID_ARGUMENT, found) if found else None


def creation_violation(command: c.CreateExecution) -> str | None:
    """Return what is wrong with the ids in a creation: too long, or a NUL in them."""
    wrong = [
        part_violation("project", command.project),
        part_violation("domain", command.domain),
        parts_violation("launch plan", command.launch_plan),
        too_long("a URI of inputs", command.inputs_uri or "", TEXT_BYTES_MAX),
    ]
    if command.recovers is not None:
        wrong.append(parts_violation("recovered execution", command.recovers))
    if command.parent is not None:
        wrong += [
            too_long("a parent's stream", command.parent.stream, KEY_BYTES_MAX),
            part_violation("parent's node id", command.parent.node_id),
            _stream_violation(command.parent.stream),
        ]
    return _first(wrong)


def _stream_violation(stream: str) -> str | None:
    try:
        execution_of(stream)
    except ValueError:
        return (
            "Expected a parent's stream like execution/project/domain/name, but it is "
            f"'{stream[:100]}'"
        )
    return None


def part_violation(part: str, text: str) -> str | None:
    """Return what is wrong with a part of an id: it is too long, or contains NUL."""
    if "\0" in text:
        return f"Expected a {part} without NUL characters, but it has one"
    return too_long(f"a {part}", text, PART_BYTES_MAX)


def parts_violation(
    what: str, ref: EntityRef | ExecutionRef | CatalogKey
) -> str | None:
    """Return what is wrong with a part of an id that has several."""
    return _first(
        part_violation(f"{name} of the {what}", getattr(ref, name))
        for name in ref.__struct_fields__
    )


def spec_violation(spec: execution_pb2.ExecutionSpec) -> str | None:
    """Return what is wrong with the lengths of a spec's texts."""
    if len(spec.tags) > TAGS_MAX:
        return f"Expected at most {TAGS_MAX} tags, but there are {len(spec.tags)}"
    keys = spec.labels.values
    return _first(
        (
            *(too_long("a tag", tag, KEY_BYTES_MAX) for tag in spec.tags),
            *(too_long("a label key", key, LABEL_KEY_BYTES_MAX) for key in keys),
            texts_violation(spec, "spec"),
            _size_violation(spec),
        )
    )


def texts_violation(message: Message, path: str) -> str | None:
    """Return which text in a message is too long, if any; inputs aren't looked at.

    Every field of a message that could hold one is visited: use it for small messages,
    not for workflows.
    """
    bytes_max = VARIABLE_BYTES_MAX if path in _LONG_TEXTS else TEXT_BYTES_MAX
    if message.ByteSize() <= TEXT_BYTES_MAX:
        return None
    for field, value in message.ListFields():
        name = f"{path}.{field.name}"
        if name in _NOT_TEXTS:
            continue
        for item in _items(field.is_repeated, value):
            if isinstance(item, Message):
                inside = path if path in _LONG_TEXTS else name
                wrong = texts_violation(item, inside)
            elif isinstance(item, str | bytes):
                wrong = too_long(f"{name}: a text", item, bytes_max)
            else:
                wrong = None
            if wrong is not None:
                return wrong
    return None


def _items(is_repeated: bool, value: Any) -> Iterable[Any]:
    """Return the values of a field, of whichever type it is, and the keys of a map."""
    if not is_repeated:
        return (value,)
    return (*value.keys(), *value.values()) if isinstance(value, Mapping) else value


def _size_violation(spec: execution_pb2.ExecutionSpec) -> str | None:
    inputs = spec.inputs.ByteSize() if spec.HasField("inputs") else 0
    size = spec.ByteSize() - inputs
    if size <= SPEC_BYTES_MAX:
        return None
    return f"Expected a spec of at most {SPEC_BYTES_MAX} bytes, but it has {size}"


def _principal(text: str) -> str | None:
    return too_long("a principal", text, PART_BYTES_MAX)


def _first(found: Iterable[str | None]) -> str | None:
    return next((wrong for wrong in found if wrong is not None), None)
