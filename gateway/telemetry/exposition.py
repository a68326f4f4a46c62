"""What Prometheus is told: one registry for each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Histogram,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Gauges = Callable[[], Mapping[str, tuple[str, float]]]

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class CallMetrics:
    """Calls through one door: how many, how they ended, how long they took."""

    def __init__(self, registry: CollectorRegistry, door: str, words: str) -> None:
        """Register the metrics under the door's name."""
        self._calls = Counter(
            f"flightlog_{door}_calls", f"Calls over {words}.", ("rpc", "code"),
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            f"flightlog_{door}_call_seconds", f"How long calls over {words} took.",
            ("rpc",), registry=registry, buckets=_BUCKETS_S,
        )  # fmt: skip

    def observe(self, rpc: str, code: str, seconds: float) -> None:
        """Count one call."""
        self._calls.labels(rpc, code).inc()
        self._seconds.labels(rpc).observe(seconds)


class RestMetrics(CallMetrics):
    """Calls over REST."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the metrics."""
        super().__init__(registry, "rest", "REST")


class GrpcMetrics(CallMetrics):
    """Calls over gRPC."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the metrics."""
        super().__init__(registry, "grpc", "gRPC")


class EngineGauges(Collector):
    """Figures that the engine's parts keep anyway, read when they are asked for."""

    def __init__(self, gauges: Gauges) -> None:
        """Take the function that reads them: name → (help, value)."""
        self._gauges = gauges

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the figures of now."""
        for name, (words, value) in self._gauges().items():
            yield GaugeMetricFamily(f"flightlog_{name}", words, value=value)


def new_registry() -> CollectorRegistry:
    """Return a registry that tells of the process already."""
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    return registry
