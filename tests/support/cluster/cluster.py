"""A cluster from a seed: processes of each role, their faults, and what they left."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from domain.graph import Definition
from gateway.cli.commands.log.events import as_json
from infra.blobs.files import FileBlobs
from infra.eventlog.contract import Received, Record
from infra.eventlog.kafka import topics as kafka_topics
from infra.eventlog.kafka.clients import partition_for_key
from infra.eventlog.kafka.log import KafkaLog
from infra.eventlog.kafka.records import received
from infra.settings import Settings
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import ExecutionRef, execution_stream
from schemas.messages.commands import Command, CreateExecution
from schemas.wire import codec
from tests.history.checker import ENDINGS, check, kind
from tests.support.cluster.graphs import child, parent
from tests.support.cluster.roles import ROLES
from tests.support.cluster.tasks import Runs
from tests.support.engine import CREATE, NOON_US
from tests.support.memory_kafka.broker import Broker
from tests.support.memory_kafka.consumer import record_of
from tests.support.virtual.process import Process
from workers.propeller.partitions import Partitions

DELAY_S = (0.0, 0.004)
SETTLING_S = 60.0
GROUPS = {topics.PROPELLER_GROUP, topics.RUNNER_GROUP, topics.PROJECTOR_GROUP}
"""Groups of processes have the name of their role."""
SUCCEEDS: Mapping[str, Any] = {"phase": "SUCCEEDED", "outputs": {"o0": 7}}
RESTART_S = 1.0
_SETTINGS: dict[str, Any] = {
    "kafka": {
        "partitions": 3, "session_timeout_s": 6, "heartbeat_interval_s": 1,
        "transaction_timeout_s": 6, "request_timeout_s": 10, "revoke_timeout_s": 5,
    },
    "log": {"poll_interval_s": 0.5},
    "propeller": {"runner_timeout_s": 10},
    "runner": {"heartbeat_interval_s": 1},
    "snapshots": {"interval_s": 3},
}  # fmt: skip


def stream_of(name: str) -> str:
    """Return the stream of an execution."""
    return execution_stream(ExecutionRef(project="p", domain="d", name=name))


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """One process of a role."""

    role: str
    name: str
    process: Process
    stop: asyncio.Event
    task: asyncio.Task[None] | None = None


def _admits(command: CreateExecution) -> None:
    """Admit everything."""


@dataclass(slots=True, eq=False, repr=False)
class Cluster:
    """What outlives its processes, and the processes of now.

    `more` are settings besides those of all clusters. With `is_static` a process that
    comes back soon has its partitions at once. `admit` raises what a creation fails by.
    `database` is the URL of a Postgres with read models, for roles that use it; a
    process has a connection after its time in `database_delays_s`, if it has one there.
    """

    seed: int
    broker: Broker
    folder: Path
    more: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_static: bool = False
    admit: Callable[[CreateExecution], None] = _admits
    database: str = ""
    database_delays_s: dict[str, float] = field(default_factory=dict)
    draw: random.Random = field(init=False)
    blobs: FileBlobs = field(init=False)
    runs: Runs = field(init=False)
    nodes: dict[str, Node] = field(default_factory=dict)
    propellers: dict[str, Partitions] = field(default_factory=dict)
    logs: dict[str, KafkaLog] = field(default_factory=dict)
    crashes: list[tuple[str, BaseException]] = field(default_factory=list)
    journal: list[dict[str, Any]] = field(default_factory=list)
    parent: Definition = field(default_factory=parent)
    child: Definition = field(default_factory=child)
    _numbers: int = 0
    _seen: dict[int, int] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Draw from the seed."""
        self.draw = random.Random(self.seed)
        self.blobs = FileBlobs(self.folder)
        self.runs = Runs(self.seed)
        self.broker.delay_s = lambda: self.draw.uniform(*DELAY_S)
        loop = asyncio.get_running_loop()
        self.broker.now_ms = lambda: NOON_US // 1000 + round(loop.time() * 1000)

    def __repr__(self) -> str:
        """Return the seed: a failed assertion shows it, and not all that there is."""
        return f"Cluster({self.seed})"

    def definition(self, name: str) -> Definition:
        """Return the graph of an execution: children have long names."""
        return self.child if "-n1-" in name else self.parent

    def settings_of(self, name: str) -> Settings:
        """Return the settings of a process."""
        sections = {
            section: _SETTINGS.get(section, {}) | self.more.get(section, {})
            for section in (*_SETTINGS, *self.more)
        }
        sections["kafka"] |= {"bootstrap_servers": self.broker.name}
        if self.is_static:
            sections["kafka"] |= {"group_instance_id": name}
        sections["runner"] |= {"name": name}
        return Settings(data_dir=self.folder, **sections)

    async def start(self, **roles: int) -> None:
        """Make the topics, and start so many processes of each role."""
        await kafka_topics.create(self.settings_of("any").kafka)
        for role, count in roles.items():
            for _ in range(count):
                self.spawn(role)

    async def settle(self) -> None:
        """Return once each process has its share of the partitions."""
        assert await self.until(self._is_settled, SETTLING_S)

    def _is_settled(self) -> bool:
        for role in {node.role for node in self.nodes.values()} & GROUPS:
            group = self.broker.groups.get(role)
            if group is None or group.is_rebalancing:
                return False
            if len(group.members) != len(self.of(role)):
                return False
        count = self.settings_of("any").kafka.partitions
        return all(self.owner_of(number) for number in range(count))

    def spawn(self, role: str, name: str = "") -> Node:
        """Start a process, a new one or one that was there before."""
        if not name:
            self._numbers += 1
            name = f"{role}-{self._numbers}"
        clock_us = self.nodes[name].process.clock_us if name in self.nodes else 0
        process, stop = Process(name, clock_us=clock_us), asyncio.Event()
        node = self.nodes[name] = Node(role, name, process, stop)
        node.task = process.start(ROLES[role](self, name, stop))
        node.task.add_done_callback(lambda task: self._on_end(node, task))
        return node

    def _on_end(self, node: Node, task: asyncio.Task[None]) -> None:
        """Start a process again that ended by an error, as a supervisor does."""
        if task.cancelled() or self.nodes.get(node.name) is not node:
            return
        error = task.exception()
        if error is None:
            return
        self.crashes.append((node.name, error))
        loop = asyncio.get_running_loop()
        loop.call_later(RESTART_S, self._restart, node, context=self.broker.context)

    def _restart(self, node: Node) -> None:
        if self.nodes.get(node.name) is node:
            self.spawn(node.role, node.name)

    def of(self, role: str) -> list[Node]:
        """Return the processes of a role."""
        return [node for node in self.nodes.values() if node.role == role]

    def kill(self, node: Node) -> None:
        """Kill a process, as SIGKILL does; `spawn` starts it again by its name."""
        node.process.kill()

    async def leave(self, node: Node) -> None:
        """End a process as an operator does."""
        del self.nodes[node.name]
        node.stop.set()
        assert node.task is not None
        await asyncio.wait([node.task], timeout=60)

    async def create(self, name: str, ends: Mapping[str, Any] = SUCCEEDS) -> str:
        """Ask for an execution; return its stream. The model passes x on."""
        stream = stream_of(name)
        command = replace(CREATE, name=name)
        await self.send(stream, command, f"{stream}/create", ends=ends)
        return stream

    async def send(
        self,
        stream: str,
        command: Command,
        command_id: str,
        *,
        partition: int | None = None,
        said: bool = True,
        **more: Any,
    ) -> None:
        """Publish a command, as a service does, or to a partition that isn't its.

        Unless `said` the journal doesn't have it: the model says nothing about it.
        """
        if said:
            self.journal.append({
                "say": "sent", "at": asyncio.get_running_loop().time(), "client": "c",
                "id": command_id, "type": type(command).__name__, "stream": stream,
                **more,
            })  # fmt: skip
        record = Record(
            topic=topics.COMMANDS,
            key=stream,
            envelope=Envelope(
                id=command_id,
                type=codec.type_name(command),
                stream=stream,
                reply=True,
            ),
            body=codec.encode(command),
            partition=partition,
        )
        settings = self.settings_of("client")
        log = KafkaLog(settings.kafka, settings.log)
        await log.open()
        await log.append([record])
        await log.close()

    def partition_of(self, stream: str) -> int:
        """Return the partition of a stream."""
        kafka = self.settings_of("any").kafka
        return partition_for_key(topics.COMMANDS, stream, kafka)

    def names_in(self, partition: int, count: int) -> list[str]:
        """Return names of executions in a partition."""
        names = (f"e{number}" for number in itertools.count())
        found = (n for n in names if self.partition_of(stream_of(n)) == partition)
        return list(itertools.islice(found, count))

    def owner_of(self, partition: int) -> Node | None:
        """Return the propeller that serves a partition; None if none does."""
        for name, partitions in self.propellers.items():
            node = self.nodes.get(name)
            if node and not node.process.is_dead and partition in partitions.served:
                return node
        return None

    def records(self, topic: str) -> list[Received]:
        """Return what is committed on a topic, by partition."""
        found = []
        for partition in self.broker.topics[topic].partitions:
            entries, _ = partition.read(0, partition.end + 1, partition.stable_end)
            found += [received(record_of(partition, entry)) for entry in entries]
        return found

    def events(self) -> list[dict[str, Any]]:
        """Return all events, as `flightlog events tail --json` prints them."""
        return [
            as_json(record, codec.decode(record.body))
            for record in self.records(topics.EVENTS)
        ]

    def under_way(self) -> list[str]:
        """Return the streams that were asked for and haven't ended."""
        for partition in self.broker.topics[topics.EVENTS].partitions:
            seen, end = self._seen.get(partition.number, 0), partition.stable_end
            entries, _ = partition.read(seen, end - seen + 1, end)
            self._seen[partition.number] = end
            for entry in entries:
                envelope = received(record_of(partition, entry)).envelope
                if envelope.type.rpartition(".")[2] in ENDINGS:
                    self._ended.add(envelope.stream)
        asked = {entry["stream"] for entry in self.journal if entry.get("ends")}
        return sorted(asked - self._ended)

    async def until(
        self, holds: Callable[[], object], limit_s: float, every_s: float = 0.25
    ) -> bool:
        """Return whether something holds within a time; it is asked now and then."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + limit_s
        while not holds():
            if loop.time() >= until_s:
                return False
            await asyncio.sleep(every_s)
        return True

    def wrong(self) -> list[str]:
        """Return what is wrong with the history, by a checker of its own."""
        return check(self.events(), self.journal)

    def kinds(self, stream: str) -> Sequence[str]:
        """Return the kinds of a stream's events."""
        return [kind(event) for event in self.events() if event["stream"] == stream]
