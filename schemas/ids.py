"""Ids, and how each is derived; none is random."""

from __future__ import annotations

from hashlib import blake2b
from typing import NewType

import msgspec

StreamId = NewType("StreamId", str)
NodeId = NewType("NodeId", str)

NODE_ID_LENGTH_MAX = 20
GENERATED_NAME_LENGTH_MAX = 50
_BASE32 = "abcdefghijklmnopqrstuvwxyz123456"


class EntityRef(msgspec.Struct, frozen=True, kw_only=True):
    """A registered entity: kind is TASK, WORKFLOW or LAUNCH_PLAN."""

    kind: str
    project: str
    domain: str
    name: str
    version: str

    def text(self) -> str:
        """Return the entity as project/domain/name/version."""
        return f"{self.project}/{self.domain}/{self.name}/{self.version}"


class ExecutionRef(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow execution, by what clients call it."""

    project: str
    domain: str
    name: str

    def text(self) -> str:
        """Return the execution as project/domain/name."""
        return f"{self.project}/{self.domain}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ExecutionRef:
        """Return the execution that `text()` wrote; raises ValueError otherwise."""
        project, domain, name = text.split("/", 2)
        return cls(project=project, domain=domain, name=name)


class ParentNode(msgspec.Struct, frozen=True, kw_only=True):
    """The launch plan node that requested an execution, in its own execution."""

    stream: str
    node_id: str
    attempt: int


class CatalogKey(msgspec.Struct, frozen=True, kw_only=True):
    """Where outputs are stored for reuse: a data set, and a tag of the inputs (ref §7).

    `name` is the task's, `version` holds its cache version and interface.
    """

    project: str
    domain: str
    name: str
    version: str
    tag: str


class AttemptRef(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a task, in any execution."""

    execution: ExecutionRef
    node_id: str
    attempt: int
    task: EntityRef


def execution_stream(execution: ExecutionRef) -> StreamId:
    """Return the stream of an execution's events."""
    return StreamId(f"execution/{execution.text()}")


def execution_of(stream: str) -> ExecutionRef:
    """Return the execution whose events a stream holds; raises ValueError otherwise."""
    kind, project, domain, name = stream.split("/", 3)
    if kind != "execution":
        message = f"Expected the stream of an execution, but '{stream}' isn't"
        raise ValueError(message)
    return ExecutionRef(project=project, domain=domain, name=name)


def event_id(stream: str, sequence: int) -> str:
    """Return the id of the event at this place of a stream."""
    return f"{stream}/{sequence}"


def attempt_id(stream: str, node_id: str, attempt: int) -> str:
    """Return the id of one attempt of a node's work: its idempotency key."""
    return f"{stream}/{node_id}/{attempt}"


def report_id(attempt: str, dispatch_no: int, phase: str, version: int = 0) -> str:
    """Return the id of a runner's report on one dispatch of an attempt."""
    return f"{attempt}/{dispatch_no}/{phase}/{version}"


def node_unique_id(parent_id: str, parent_attempt: int, node_id: str) -> NodeId:
    """Return a node's id within its execution (ref §4.7); top level: parent_id ''."""
    parts = [parent_id, str(parent_attempt), node_id] if parent_id else [node_id]
    text = "-".join(parts)
    if len(text) <= NODE_ID_LENGTH_MAX:
        return NodeId(text)
    return NodeId("f" + _base32(fnv32a(text.encode()).to_bytes(4, "big")))


def element_name(index: int) -> str:
    """Return the id of an array's element within the array."""
    return f"n{index}"


def element_id(array_id: str, attempt: int, index: int) -> NodeId:
    """Return the id of an array's element: its index isn't hashed."""
    last = element_name(index)
    plain = f"{array_id}-{attempt}-{last}"
    if len(plain) <= NODE_ID_LENGTH_MAX:
        return NodeId(plain)
    hashed = _base32(fnv32a(f"{array_id}-{attempt}".encode()).to_bytes(4, "big"))
    return NodeId(f"f{hashed}-{last}")


def longer_node_id(
    parent_id: str, parent_attempt: int, node_id: str, number: int
) -> NodeId:
    """Return one of the ids of a node whose shorter ones other nodes have.

    Unlike a short id it doesn't depend on where one part ends and the next begins.
    """
    text = f"{number}\0{parent_id}\0{parent_attempt}\0{node_id}"
    return NodeId("f" + _digest(text))


def child_execution_name(execution_name: str, node_id: str, attempt: int) -> str:
    """Return the name of the execution that a launch plan node starts (ref §5.4)."""
    text = f"{execution_name}-{node_id}-{attempt}"
    if len(text) <= NODE_ID_LENGTH_MAX:
        return text
    return "f" + _base32(fnv64a(text.encode()).to_bytes(8, "big"))


def generated_name(execution_name: str, node_id: str, attempt: int) -> str:
    """Return the name of an attempt's pod or process (ref §6.3)."""
    text = f"{execution_name}-{node_id}-{attempt}"
    if len(text) <= GENERATED_NAME_LENGTH_MAX:
        return text
    return "f" + _base32(fnv64a(text.encode()).to_bytes(8, "big"))


def local_folder(work: str) -> str:
    """Return the name of a folder that only one attempt or dispatch has, by its id.

    Its generated name may also be that of one in another project or domain.
    """
    return _digest(work)


def raw_output_shard(name: str) -> str:
    """Return the two characters that spread raw outputs over prefixes (ref §4.7)."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    high, low = divmod(fnv32a(name.encode()) % len(letters) ** 2, len(letters))
    return letters[high] + letters[low]


def raw_output_prefix(base: str, name: str) -> str:
    """Return the prefix of an attempt's raw outputs, by its name (ref §4.7)."""
    return f"{base.rstrip('/')}/{raw_output_shard(name)}/{name}"


def checkpoint_path(raw_output: str) -> str:
    """Return the folder of an attempt's checkpoint, by its raw outputs' prefix."""
    return f"{raw_output}/_flytecheckpoints"


def fnv32a(data: bytes) -> int:
    """Return the 32-bit FNV-1a hash."""
    return _fnv1a(data, 0x811C9DC5, 0x01000193, 0xFFFFFFFF)


def fnv64a(data: bytes) -> int:
    """Return the 64-bit FNV-1a hash."""
    return _fnv1a(data, 0xCBF29CE484222325, 0x100000001B3, 0xFFFFFFFFFFFFFFFF)


def _fnv1a(data: bytes, offset: int, prime: int, mask: int) -> int:
    value = offset
    for byte in data:
        value = ((value ^ byte) * prime) & mask
    return value


def _digest(text: str) -> str:
    """Return 16 characters that no other text has."""
    return _base32(blake2b(text.encode(), digest_size=10).digest())


def _base32(data: bytes) -> str:
    bits = int.from_bytes(data, "big")
    count = len(data) * 8
    padded = -(-count // 5) * 5
    bits <<= padded - count
    return "".join(_BASE32[(bits >> shift) & 31] for shift in range(padded - 5, -1, -5))
