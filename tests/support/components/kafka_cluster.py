"""Three real brokers as one cluster: each is a controller as well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests.support.components.kafka import Kafka, Node

_QUORUM_STATE = "data/__cluster_metadata-0/quorum-state"
_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "controller.quorum.bootstrap.servers": "",
        "offsets.topic.replication.factor": "3",
        "transaction.state.log.replication.factor": "3",
        "transaction.state.log.min.isr": "2",
        "share.coordinator.state.topic.replication.factor": "3",
        "share.coordinator.state.topic.min.isr": "2",
        "min.insync.replicas": "2",
        "default.replication.factor": "3",
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "controller.quorum.election.timeout.ms": "1000",
        "controller.quorum.fetch.timeout.ms": "1500",
        "replica.lag.time.max.ms": "5000",
    }
)
"""A lost broker is noticed within seconds, as the roles of a chaos run are."""


class KafkaCluster:
    """Brokers with replication factor 3, two of which must have each record."""

    def __init__(self, folders: list[Path]) -> None:
        """Choose ports and format the folders, one a broker; `start` starts them."""
        nodes = [Node(number) for number in range(1, len(folders) + 1)]
        voters = ",".join(f"{n.number}@127.0.0.1:{n.controller}" for n in nodes)
        settings = {**_SETTINGS, "controller.quorum.voters": voters}
        self.brokers = [
            Kafka(folder, node, {"node.id": str(node.number), **settings})
            for folder, node in zip(folders, nodes, strict=True)
        ]

    @property
    def servers(self) -> str:
        """Return what clients connect to."""
        return ",".join(broker.servers for broker in self.brokers)

    def start(self) -> None:
        """Start all brokers and wait until each takes connections."""
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait()

    def kill(self) -> None:
        """End all brokers at once."""
        for broker in self.brokers:
            broker.kill()

    def controller(self) -> Kafka:
        """Return the broker that leads the controllers, as they last noted."""
        known = [
            json.loads(file.read_text())
            for broker in self.brokers
            if (file := broker.folder / _QUORUM_STATE).exists()
        ]
        newest = max(known, key=lambda state: int(state["leaderEpoch"]))
        number = max(1, int(newest["leaderId"]))
        return next(b for b in self.brokers if b.node.number == number)

    def revive(self) -> None:
        """Start every broker that has ended, and wait for it."""
        ended = [broker for broker in self.brokers if not broker.is_running]
        for broker in ended:
            broker.launch()
        for broker in ended:
            broker.wait()
