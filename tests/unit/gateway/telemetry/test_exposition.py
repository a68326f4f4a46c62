"""Values that parts keep are exposed as they are at each scrape."""

from __future__ import annotations

from prometheus_client import generate_latest

from gateway.telemetry.exposition import new_registry
from infra.telemetry import counters
from infra.telemetry.counters import Metric


def test_counters_and_gauges_are_exposed_with_their_types() -> None:
    """A scrape reads the current values."""
    values: dict[Metric, float] = {
        counters.COMMANDS_HANDLED: 1,
        counters.EXECUTIONS_ACTIVE: 2,
    }
    registry = new_registry(lambda: values)
    generate_latest(registry)
    values[counters.COMMANDS_HANDLED] = 3
    lines = generate_latest(registry).decode().splitlines()

    assert "# TYPE flightlog_commands_handled_total counter" in lines
    assert "flightlog_commands_handled_total 3.0" in lines
    assert "# TYPE flightlog_executions_active gauge" in lines
    assert "flightlog_executions_active 2.0" in lines


def test_a_registry_includes_metrics_of_the_process() -> None:
    """Memory, garbage collection and the Python version come with it."""
    text = generate_latest(new_registry()).decode()

    assert "process_resident_memory_bytes" in text
    assert "python_gc_objects_collected_total" in text
