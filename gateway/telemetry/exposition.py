"""Metrics as Prometheus scrapes them: one registry for each process."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from infra.outages import OUTAGES
from infra.telemetry import counters
from infra.telemetry.counters import ReadValues, Values


class ValueCollector(Collector):
    """Exposes values that the parts of a process keep, read at each scrape."""

    def __init__(self, read: ReadValues) -> None:
        """Read the values by this function."""
        self._read = read

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the current values."""
        values = {counters.AWAY: float(len(OUTAGES.away)), **self._read()}
        for metric, value in values.items():
            family = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
            yield family(metric.name, metric.description, value=value)


def _no_values() -> Values:
    return {}


def new_registry(read: ReadValues = _no_values) -> CollectorRegistry:
    """Return a registry of the process's own metrics and of what `read` returns."""
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    registry.register(ValueCollector(read))
    return registry
