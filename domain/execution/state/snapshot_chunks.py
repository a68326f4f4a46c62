"""Snapshots of states: in chunks of nodes, only changed ones written again; pure.

A node stays in the chunk that it came to first, unless that grows too large. What is
decoded is either the state that was encoded, or an error says that parts are missing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from itertools import chain
from itertools import count as numbers_from
from types import GenericAlias
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from immutables import Map
from msgspec.structs import replace

from domain.execution.state.node import Node
from domain.execution.state.state import Execution
from domain.snapshots import Chunk, ChunkLimits, TornSnapshotError

EVOLVE_REVISION = 2
"""Raised when events fold to another state than before in the same classes."""

_V = TypeVar("_V")


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What was written of a stream: its nodes, and the chunk of each.

    `members` are the ids in each chunk, `written` the sequence at which it was written
    last.
    """

    nodes: Map[str, Node] = Map()
    places: Map[str, int] = Map()
    members: tuple[tuple[str, ...], ...] = ()
    written: tuple[int, ...] = ()


def snapshot_format() -> str:
    """Return the format of today's snapshots: it follows from the classes of states.

    Snapshots in any other format are ignored, and their events replayed.
    """
    return f"{EVOLVE_REVISION}-{_shape()}"


def encode_chunks(
    layout: Layout, state: Execution, sequence: int, limits: ChunkLimits
) -> tuple[Layout, Sequence[Chunk]]:
    """Return the chunks that must be written to bring a layout to a state."""
    members = dict(enumerate(layout.members))
    dirty = dict[int, None]()
    fresh: list[str] = []
    for node_id, node in state.nodes.items():
        if layout.nodes.get(node_id) is node:
            continue
        place = layout.places.get(node_id)
        if place is None:
            fresh.append(node_id)
        else:
            dirty[place] = None
    for place, ids in _placed(fresh, members, limits):
        members[place] = (*members.get(place, ()), *ids)
        dirty[place] = None
    chunks = list(_encoded(state.nodes, members, dirty, limits))
    return _laid_out(layout, state.nodes, sequence, chunks), [
        Chunk(number, body) for number, _, body in chunks
    ]


def _placed(
    fresh: Sequence[str], members: Mapping[int, tuple[str, ...]], limits: ChunkLimits
) -> Iterator[tuple[int, Sequence[str]]]:
    """Distribute new nodes: the last chunk is filled, then others begin."""
    last = max(len(members) - 1, 0)
    room = max(limits.items_max - len(members.get(last, ())), 0)
    if fresh[:room]:
        yield last, fresh[:room]
    for start in range(room, len(fresh), limits.items_max):
        last += 1
        yield last, fresh[start : start + limits.items_max]


def _encoded(
    nodes: Mapping[str, Node],
    members: dict[int, tuple[str, ...]],
    dirty: Iterable[int],
    limits: ChunkLimits,
) -> Iterator[tuple[int, tuple[str, ...], bytes]]:
    """Encode chunks; what exceeds one goes to new ones after all others."""
    spare = numbers_from(len(members))
    for number in dirty:
        pieces = _pieces(nodes, members[number], limits)
        for (ids, parts), at in zip(pieces, chain((number,), spare), strict=False):
            yield at, ids, zlib.compress(_encoder.encode(parts), 1)


def _pieces(
    nodes: Mapping[str, Node], ids: Sequence[str], limits: ChunkLimits
) -> Iterator[tuple[tuple[str, ...], list[msgspec.Raw]]]:
    taken, parts, size = list[str](), list[msgspec.Raw](), 0
    for node_id in ids:
        part = msgspec.Raw(_encoder.encode(nodes[node_id]))
        size += len(part)
        if parts and size > limits.bytes_max:
            yield tuple(taken), parts
            taken, parts, size = [], [], len(part)
        taken.append(node_id)
        parts.append(part)
    yield tuple(taken), parts


def _laid_out(
    layout: Layout,
    nodes: Map[str, Node],
    sequence: int,
    chunks: Sequence[tuple[int, tuple[str, ...], bytes]],
) -> Layout:
    length = max([len(layout.members), *(number + 1 for number, _, _ in chunks)])
    members = [*layout.members, *([()] * (length - len(layout.members)))]
    written = [*layout.written, *([0] * (length - len(layout.written)))]
    with layout.places.mutate() as places:
        for number, ids, _ in chunks:
            members[number], written[number] = ids, sequence
            places.update(dict.fromkeys(ids, number))
        found = places.finish()
    return Layout(
        nodes=nodes, places=found, members=tuple(members), written=tuple(written)
    )


def encode_head(state: Execution) -> bytes:
    """Return a state without its nodes, but with their number, as bytes."""
    bare = replace(state, nodes=Map(), active=Map())
    return _encoder.encode((len(state.nodes), bare))


def decode_chunks(
    head: bytes, written: Sequence[int], chunks: Mapping[int, tuple[int, bytes]]
) -> tuple[Execution, Layout]:
    """Return the state that a head and its chunks hold; raises TornSnapshotError.

    A chunk is given by the sequence at which it was written, and its bytes.
    """
    members = list[tuple[str, ...]]()
    nodes, places, active = Map[str, Node](), Map[str, int](), Map[str, None]()
    with nodes.mutate() as n, places.mutate() as p, active.mutate() as a:
        for number, sequence in enumerate(written):
            found = _nodes_in(chunks, number, sequence)
            members.append(tuple(node.site.node_id for node in found))
            for node in found:
                node_id = node.site.node_id
                n[node_id], p[node_id] = node, number
                if not node.is_terminal:
                    a[node_id] = None
        nodes, places, active = n.finish(), p.finish(), a.finish()
    try:
        count, bare = _head.decode(head)
    except msgspec.MsgspecError as error:
        message = f"Expected a head, but: {error}"
        raise TornSnapshotError(message) from error
    if not count == len(nodes) == sum(len(ids) for ids in members):
        message = f"Expected each of {count} nodes once, but got {members}"
        raise TornSnapshotError(message)
    return replace(bare, nodes=nodes, active=active), Layout(
        nodes=nodes, places=places, members=tuple(members), written=tuple(written)
    )


def _nodes_in(
    chunks: Mapping[int, tuple[int, bytes]], number: int, sequence: int
) -> list[Node]:
    found, body = chunks.get(number, (0, b""))
    if found != sequence:
        message = f"Expected chunk {number} as of {sequence}, but got that of {found}"
        raise TornSnapshotError(message)
    try:
        return _nodes.decode(zlib.decompress(body))
    except (zlib.error, msgspec.MsgspecError) as error:
        message = f"Expected nodes in chunk {number}, but: {error}"
        raise TornSnapshotError(message) from error


def _to_dict(value: Map[str, _V]) -> dict[str, _V]:
    """Encode what msgspec doesn't know: states have no other such type."""
    return dict(value)


def _to_map(kind: type, value: Any) -> Map[str, Any]:  # whatever msgspec read
    """Decode what msgspec doesn't know."""
    if not value:
        return _EMPTY
    return Map(msgspec.convert(value, _items(kind), dec_hook=_to_map))


_EMPTY = Map[str, Any]()


@cache
def _items(kind: type) -> GenericAlias:
    assert get_origin(kind) is Map  # noqa: S101 - states have no other such type
    return GenericAlias(dict, get_args(kind))


_encoder = msgspec.msgpack.Encoder(enc_hook=_to_dict)
_head = msgspec.msgpack.Decoder(tuple[int, Execution], dec_hook=_to_map)
_nodes = msgspec.msgpack.Decoder(list[Node], dec_hook=_to_map)


@cache
def _shape() -> str:
    """Return a digest of the classes that states are made of, and of their fields."""
    text = "\n".join(sorted(set(_fields(Execution, set()))))
    return blake2b(text.encode(), digest_size=6).hexdigest()


def _fields(kind: type, seen: set[type]) -> Iterator[str]:
    for part in get_args(kind):
        yield from _fields(part, seen)
    if kind in seen or not isinstance(kind, type):
        return
    seen.add(kind)
    if issubclass(kind, msgspec.Struct):
        for name, hint in get_type_hints(kind).items():
            yield f"{kind.__name__}.{name}: {hint}"
            yield from _fields(hint, seen)
