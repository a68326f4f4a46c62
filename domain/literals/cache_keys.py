"""Caching: whether a node's outputs are kept for reuse, and under which key; pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.ids import CatalogKey, EntityRef
from schemas.values import Failure

_DATA_SET = "flyte_task-"
_TAG = "flyte_cached-"
_SHORT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """How a node is cached; `serializes` lets one of equal nodes run at a time."""

    version: str
    serializes: bool
    ignored: tuple[str, ...]


def cache_policy(template: Any, node: Any) -> CachePolicy | None:
    """Return how a task's node is cached, None if it isn't; the node's word goes first.

    A task without outputs has nothing to keep.
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
        serializes=bool(serializes),
        ignored=tuple(on_task.cache_ignore_input_vars),
    )


def dataset_name(task: str) -> str:
    """Return the name under which outputs of a task are kept."""
    return _DATA_SET + task


def catalog_key(
    task: EntityRef,
    version: str,
    interface: Any,
    inputs: Any,
    ignored: Sequence[str] = (),
) -> CatalogKey | Failure:
    """Return where the outputs of a task with these inputs are kept (ref §7).

    The task's version doesn't count, its interface and cache version do. A literal
    that bears a hash counts by that alone, wherever it lies in the inputs.
    """
    digests = []
    for name in sorted(set(inputs.literals) - set(ignored)):
        try:
            digests.append(_text(name) + _digest(inputs.literals[name]))
        except ValueError as error:
            message = f"Expected a value in the input '{name}' to hash, but {error}"
            return Failure(code="CacheKeyFailure", message=message, kind="USER")
    sides = (_short(interface.inputs), _short(interface.outputs))
    return CatalogKey(
        project=task.project,
        domain=task.domain,
        name=dataset_name(task.name),
        version="-".join((version, *sides)),
        tag=_TAG + _letters(_hash(b"inputs", *digests)),
    )


def _short(variables: Any) -> str:
    return _letters(_hash(b"variables", _bytes(variables)))[:_SHORT]


def _digest(literal: Any) -> bytes:
    """Return the hash of a value; of a nested one, from the hashes of its parts."""
    if literal.hash:
        return _hash(b"hash", literal.hash.encode())
    match literal.WhichOneof("value"):
        case "collection":
            return _hash(b"list", *map(_digest, literal.collection.literals))
        case "map":
            parts = literal.map.literals
            return _hash(b"map", *(_text(k) + _digest(parts[k]) for k in sorted(parts)))
        case "scalar" if literal.scalar.WhichOneof("value") == "union":
            union = literal.scalar.union
            return _hash(b"union", _digest(union.value), _bytes(union.type))
        case "scalar" if literal.scalar.WhichOneof("value"):
            return _hash(b"scalar", _bytes(literal.scalar))
        case "offloaded_metadata":
            return _hash(b"offloaded", literal.offloaded_metadata.uri.encode())
    message = "it holds nothing"
    raise ValueError(message)


def _bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


def _text(text: str) -> bytes:
    return _hash(b"text", text.encode())


def _hash(kind: bytes, *parts: bytes) -> bytes:
    digest = hashlib.sha256(kind)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def _letters(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
