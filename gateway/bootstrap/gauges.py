"""Values of metrics, read from the parts that keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.telemetry import counters
from infra.telemetry.counters import Values

if TYPE_CHECKING:  # A role imports only what it runs.
    from infra.eventlog.kafka.log import KafkaLog
    from projections.projector.partitioned import PartitionedProjector
    from projections.projector.projector import Projector
    from workers.propeller.partitions import Partitions
    from workers.runner.loop import Runner


def of_role(log: KafkaLog, values: Values) -> Values:
    """Return the values of a role with those of its log on Kafka."""
    return {
        **values,
        counters.READS_WAITING: log.waiting_reads,
        counters.PARTITIONS_STOPPED: log.stopped_partitions,
    }


def of_propeller(propeller: Partitions) -> Values:
    """Return the values of a propeller."""
    return {
        counters.COMMANDS_HANDLED: propeller.handled,
        counters.COMMANDS_WITHOUT_EFFECT: propeller.dropped,
        counters.DEAD_LETTERS: propeller.dead_letters,
        counters.EXECUTIONS_PARKED: propeller.parked,
        counters.EXECUTIONS_ACTIVE: propeller.active,
        counters.PARTITIONS_OWNED: len(propeller.served),
        counters.PARTITIONS_HELD: propeller.held,
    }


def of_projector(projector: Projector) -> Values:
    """Return the values of a projector."""
    return {
        counters.EVENTS_PROJECTED: projector.applied,
        counters.STREAMS_PASSED_OVER: len(projector.passed.streams),
    }


def of_shared_projector(shared: PartitionedProjector) -> Values:
    """Return the values of a projector among several."""
    return {
        **of_projector(shared.projector),
        counters.PARTITIONS_HELD: len(shared.held),
    }


def of_runner(runner: Runner) -> Values:
    """Return the values of a runner."""
    return {counters.DEAD_LETTERS: runner.dead_letters}
