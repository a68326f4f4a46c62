"""Faults of a cluster's processes, drawn from its seed, at any await."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from schemas import topics
from tests.support.cluster.cluster import DELAY_S, Cluster, Node

PAUSE_S = (0.0, 4.0)
AWAY_S = (0.2, 15.0)
FROZEN_S = (0.5, 20.0)
INSIDE_S = 30.0
JUMPS_S = (-86_400, -60, 60, 86_400)


@dataclass(slots=True, repr=False)
class Faults:
    """Injects one fault after the other; all of them are over at the end.

    With a `role` only its processes have any.
    """

    cluster: Cluster
    kinds: tuple[str, ...]
    role: str = ""
    injected: Counter[str] = field(default_factory=Counter)

    async def inject(self, count: int) -> None:
        """Inject so many faults, with pauses in which nothing else happens."""
        known: dict[str, Callable[[Node], Awaitable[None]]] = {
            "kill": self.kill,
            "replace": self.replace,
            "freeze": self.freeze,
            "leave": self.leave,
            "join": self.join,
            "jump": self.jump,
        }
        draw, going = self.cluster.draw, set[asyncio.Task[None]]()
        for _ in range(count):
            await asyncio.sleep(draw.uniform(*PAUSE_S))
            name = draw.choice(self.kinds)
            busy = {task.get_name() for task in going if not task.done()}
            nodes = [
                node
                for node in self.cluster.nodes.values()
                if node.name not in busy and self.role in {"", node.role}
            ]
            if not nodes:
                continue
            node = draw.choice(nodes)
            self.injected[f"{name} {node.role}"] += 1
            going.add(asyncio.create_task(_done(known[name](node)), name=node.name))
        for task in going:
            await task

    async def kill(self, node: Node) -> None:
        """Kill a process; it is started again by its name."""
        self.cluster.kill(node)
        await self._away(AWAY_S)
        self.cluster.spawn(node.role, node.name)

    async def replace(self, node: Node) -> None:
        """Kill a process; another one takes its place, with another name."""
        self.cluster.kill(node)
        await self._away(AWAY_S)
        self.cluster.spawn(node.role)
        self.cluster.nodes.pop(node.name, None)  # it may have left meanwhile

    async def freeze(self, node: Node) -> None:
        """Stop a process, and let it wake."""
        node.process.freeze()
        await self._away(FROZEN_S)
        node.process.thaw()

    async def leave(self, node: Node) -> None:
        """End a process as a supervisor does, and start another one."""
        await self.cluster.leave(node)
        await self._away(AWAY_S)
        self.cluster.spawn(node.role)

    async def join(self, node: Node) -> None:
        """Add a process of the same role, which leaves later."""
        joined = self.cluster.spawn(node.role)
        await self._away(FROZEN_S)
        if self.cluster.nodes.get(joined.name) is joined:
            await self.cluster.leave(joined)

    async def jump(self, node: Node) -> None:
        """Let the clock of a process's machine jump."""
        node.process.clock_us += self.cluster.draw.choice(JUMPS_S) * 1_000_000
        await asyncio.sleep(0)

    async def _away(self, between_s: tuple[float, float]) -> None:
        await asyncio.sleep(self.cluster.draw.uniform(*between_s))


async def freeze_all(nodes: Sequence[Node], seconds: float) -> None:
    """Stop processes for a while, as SIGSTOP does."""
    for node in nodes:
        node.process.freeze()
    await asyncio.sleep(seconds)
    for node in nodes:
        node.process.thaw()


async def freeze_in_transaction(cluster: Cluster, partition: int) -> Node:
    """Freeze the owner of a partition once it has a transaction with events open."""

    def is_inside() -> bool:
        at = f"/{topics.COMMANDS}/{partition}"
        return any(
            producer.transaction is not None
            and any(p.topic == topics.EVENTS for p in producer.transaction.touched)
            for name, producer in cluster.broker.producers.items()
            if name.endswith(at)
        )

    owner = cluster.owner_of(partition)
    assert owner is not None
    assert await cluster.until(is_inside, INSIDE_S, every_s=DELAY_S[1] / 4)
    owner.process.freeze()
    return owner


def add_partitions(cluster: Cluster, count: int) -> None:
    """Let the topics of streams have so many partitions, as an operator may."""
    for name, topic in cluster.broker.topics.items():
        if len(topic.partitions) > 1:
            cluster.broker.add_partitions(name, count)


def delete_all(cluster: Cluster, topic: str) -> None:
    """Delete what a topic holds, read or not, as a broker's retention does."""
    for partition in cluster.broker.topics[topic].partitions:
        partition.delete_before(partition.end)


async def _done(fault: Awaitable[None]) -> None:
    await fault
