"""Cache keys: whether a node's outputs are cached, and under which key; pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from flyteidl.core import interface_pb2, literals_pb2, tasks_pb2, workflow_pb2
from google.protobuf.message import Message

from schemas.ids import CatalogKey, EntityRef
from schemas.values import ErrorKind, Failure

_DATASET_PREFIX = "flyte_task-"
_TAG_PREFIX = "flyte_cached-"
_SHORT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """How a node is cached.

    With `serializes`, one of several executions with the same key runs at a time.
    `ignored` names the inputs that aren't part of the key.
    """

    version: str
    serializes: bool
    ignored: tuple[str, ...]


def cache_policy(
    template: tasks_pb2.TaskTemplate, node: workflow_pb2.Node
) -> CachePolicy | None:
    """Return how a task's node is cached, None if it isn't.

    The node's settings take precedence over the task's. A task without outputs has
    nothing to cache.
    """
    on_task, on_node = template.metadata, node.metadata
    cached = on_task.discoverable
    version, serializes = on_task.discovery_version, on_task.cache_serializable
    if on_node.WhichOneof("cacheable_value"):
        cached = on_node.cacheable
    if on_node.WhichOneof("cache_version_value"):
        version = on_node.cache_version or version
    if on_node.WhichOneof("cache_serializable_value"):
        serializes = on_node.cache_serializable
    if not cached or not version.strip() or not template.interface.outputs.variables:
        return None
    return CachePolicy(
        version=version,
        serializes=serializes,
        ignored=tuple(on_task.cache_ignore_input_vars),
    )


def dataset_name(task: str) -> str:
    """Return the name of the catalog's dataset for a task's outputs."""
    return _DATASET_PREFIX + task


def catalog_key(
    task: EntityRef,
    version: str,
    interface: interface_pb2.TypedInterface,
    inputs: literals_pb2.LiteralMap,
    ignored: Sequence[str] = (),
) -> CatalogKey | Failure:
    """Return where the outputs of a task with these inputs are cached (ref §7).

    The task's version is no part of it, its interface and cache version are. A literal
    with a hash counts by its hash alone, at any depth of the inputs.
    """
    digests = []
    for name in sorted(set(inputs.literals) - set(ignored)):
        try:
            digests.append(_text_digest(name) + _digest(inputs.literals[name]))
        except ValueError as error:
            message = f"Expected a value in the input '{name}' to hash, but {error}"
            return Failure(code="CacheKeyFailure", message=message, kind=ErrorKind.USER)
    sides = (_short(interface.inputs), _short(interface.outputs))
    return CatalogKey(
        project=task.project,
        domain=task.domain,
        name=dataset_name(task.name),
        version="-".join((version, *sides)),
        tag=_TAG_PREFIX + _base64(_hash(b"inputs", *digests)),
    )


def _short(variables: interface_pb2.VariableMap) -> str:
    return _base64(_hash(b"variables", _bytes(variables)))[:_SHORT]


def _digest(literal: literals_pb2.Literal) -> bytes:
    """Return the hash of a value; of a nested one, from the hashes of its parts."""
    if literal.hash:
        return _hash(b"hash", literal.hash.encode())
    match literal.WhichOneof("value"):
        case "collection":
            return _hash(b"list", *map(_digest, literal.collection.literals))
        case "map":
            parts = literal.map.literals
            names = sorted(parts)
            return _hash(b"map", *(_text_digest(n) + _digest(parts[n]) for n in names))
        case "scalar" if literal.scalar.HasField("union"):
            union = literal.scalar.union
            return _hash(b"union", _digest(union.value), _bytes(union.type))
        case "scalar" if literal.scalar.WhichOneof("value"):
            return _hash(b"scalar", _bytes(literal.scalar))
        case "offloaded_metadata":
            return _hash(b"offloaded", literal.offloaded_metadata.uri.encode())
    message = "it holds nothing"
    raise ValueError(message)


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _text_digest(text: str) -> bytes:
    return _hash(b"text", text.encode())


def _hash(kind: bytes, *parts: bytes) -> bytes:
    digest = hashlib.sha256(kind)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def _base64(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
