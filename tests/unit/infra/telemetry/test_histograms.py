"""Requests are counted by status, and their duration by RPC."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from infra.telemetry.histograms import RequestMetrics


def test_a_request_is_counted_and_measured() -> None:
    """By RPC and status code; the duration is in seconds."""
    registry = CollectorRegistry()
    metrics = RequestMetrics(registry, "grpc")
    metrics.observe("GetTask", "OK", 0.25)
    metrics.observe("GetTask", "NOT_FOUND", 0.5)

    failed = {"rpc": "GetTask", "code": "NOT_FOUND"}
    name = "flightlog_grpc_request_duration_seconds_sum"
    assert registry.get_sample_value("flightlog_grpc_requests_total", failed) == 1
    assert registry.get_sample_value(name, {"rpc": "GetTask"}) == 0.75
