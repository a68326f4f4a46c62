"""Counters and gauges of the roles: their names and descriptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Metric(NamedTuple):
    """A counter, whose name ends in `_total` and whose value only grows, or a gauge."""

    name: str
    description: str

    @property
    def is_counter(self) -> bool:
        """Return whether its value only grows while the process runs."""
        return self.name.endswith("_total")


Values = Mapping[Metric, float]
"""The current value of each metric of a process."""

ReadValues = Callable[[], Values]
"""Reads the values that the parts of a process keep; called at each scrape."""

COMMANDS_HANDLED = Metric(
    "flightlog_commands_handled_total", "Commands handled by the propeller."
)
COMMANDS_WITHOUT_EFFECT = Metric(
    "flightlog_commands_without_effect_total",
    "Commands that led to no event and had no client waiting.",
)
COMMANDS_IN_FLIGHT = Metric(
    "flightlog_commands_in_flight",
    "Commands submitted by this gateway that have no outcome yet.",
)
DEAD_LETTERS = Metric(
    "flightlog_dead_letters_total",
    "Commands, dispatches and events of the registry moved to dead letters.",
)
DELIVERIES_DUE = Metric(
    "flightlog_deliveries_due_total", "Notifications that fell due."
)
DELIVERIES_SENT = Metric(
    "flightlog_deliveries_sent_total", "Notifications that a provider has taken."
)
DELIVERIES_DEAD = Metric(
    "flightlog_deliveries_dead_total",
    "Notifications that were refused, given up, or too old to be sent.",
)
EXECUTIONS_ACTIVE = Metric(
    "flightlog_executions_active", "Executions that have not ended."
)
EXECUTIONS_PARKED = Metric(
    "flightlog_executions_parked",
    "Executions that accept no commands until they are resumed.",
)
EXECUTIONS_SWEPT = Metric(
    "flightlog_executions_swept_total",
    "Deleted executions whose blobs have been removed.",
)
PARTITIONS_OWNED = Metric(
    "flightlog_partitions_owned", "Partitions of commands that this process owns."
)
PARTITIONS_STOPPED = Metric(
    "flightlog_partitions_stopped",
    "Partitions whose position is lost: they wait until the loss is accepted.",
)
READS_WAITING = Metric(
    "flightlog_reads_waiting",
    "Reads of the log that wait for an open transaction of another process.",
)
PARTITIONS_HELD = Metric(
    "flightlog_partitions_held",
    "Partitions that wait with a message that only a newer version can read.",
)
EVENTS_PROJECTED = Metric(
    "flightlog_events_projected_total", "Events applied to the read models."
)
STREAMS_PASSED_OVER = Metric(
    "flightlog_streams_passed_over",
    "Executions with an event that the read models can't hold: redrive them.",
)
REGISTRY_EVENTS_RELAYED = Metric(
    "flightlog_registry_events_relayed_total",
    "Events of the registry copied to the log.",
)
AWAY = Metric(
    "flightlog_dependencies_away",
    "What this process waits for: Postgres, Kafka, the blob store, the disk.",
)
READY = Metric("flightlog_ready", "1 if every part of the engine is ready, else 0.")
