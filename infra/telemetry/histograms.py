"""Histograms of the servers: how long requests take, and how they end."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_TITLES = {"grpc": "gRPC", "rest": "REST"}


class RequestMetrics:
    """Requests over one protocol, by RPC: their number by status, their duration."""

    def __init__(
        self, registry: CollectorRegistry, protocol: Literal["grpc", "rest"]
    ) -> None:
        """Register the metrics of a protocol."""
        title = _TITLES[protocol]
        self._requests = Counter(
            f"flightlog_{protocol}_requests_total",
            f"{title} requests, by RPC and status code.",
            ("rpc", "code"),
            registry=registry,
        )
        self._durations = Histogram(
            f"flightlog_{protocol}_request_duration_seconds",
            f"Duration of {title} requests, by RPC.",
            ("rpc",),
            registry=registry,
            buckets=_BUCKETS_S,
        )

    def observe(self, rpc: str, code: str, duration_s: float) -> None:
        """Record a request that has ended."""
        self._requests.labels(rpc, code).inc()
        self._durations.labels(rpc).observe(duration_s)
