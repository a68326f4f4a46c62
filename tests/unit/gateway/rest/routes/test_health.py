"""Health and metrics of a role that serves nothing else."""

from __future__ import annotations

import pytest
from httpx import ASGITransport, AsyncClient, Response
from prometheus_client import CollectorRegistry, Counter

from gateway.rest.routes.health import health_app
from gateway.telemetry.health import Health
from infra.errors import Dependency
from infra.outages import Outages
from tests.support.clocks import FixedClock


@pytest.fixture
def health() -> Health:
    """Return the health of a role that has just begun."""
    return Health()


async def _get(health: Health, path: str, registry: CollectorRegistry) -> Response:
    transport = ASGITransport(app=health_app(health, registry))
    async with AsyncClient(transport=transport, base_url="http://role") as client:
        return await client.get(path)


async def test_a_role_serves_its_health_and_nothing_else(health: Health) -> None:
    """It has no API, and no pages that describe one."""
    reply = await _get(health, "/healthz", CollectorRegistry())

    assert reply.status_code == (200 if health.ready else 503)
    assert set(reply.json()) == {"ready", "reason", "waiting_for", "away"}
    for path in ("/api/v1/projects", "/openapi.json", "/docs"):
        assert (await _get(health, path, CollectorRegistry())).status_code == 404


async def test_an_outage_is_told_with_its_reason() -> None:
    """Readiness is lost for as long as it lasts, life isn't."""
    outages, clock = Outages(), FixedClock(at_us=1_700_000_000_123_456)
    health = Health(outages=outages)
    outages.probed(Dependency.POSTGRES, "connection refused", clock)
    for path in ("/healthz", "/readyz"):
        reply = await _get(health, path, CollectorRegistry())
        assert reply.status_code == 503
        assert reply.json() == {
            "ready": False,
            "reason": "Waiting for Postgres: connection refused",
            "waiting_for": [],
            "away": [
                {
                    "what": "Postgres",
                    "since": "2023-11-14T22:13:20.123+00:00",
                    "why": "connection refused",
                }
            ],
        }
    assert (await _get(health, "/livez", CollectorRegistry())).status_code == 200
    outages.probed(Dependency.POSTGRES, None, clock)
    reply = await _get(health, "/healthz", CollectorRegistry())
    assert (reply.status_code, reply.json()["reason"]) == (200, "")


async def test_a_role_exposes_its_own_metrics(health: Health) -> None:
    """In Prometheus' text form."""
    registry = CollectorRegistry()
    Counter("made_total", "What was made.", registry=registry).inc(3)
    reply = await _get(health, "/metrics", registry)

    assert reply.headers["content-type"].startswith("text/plain")
    assert "made_total 3.0" in reply.text
