"""What every run of the tests tells at its beginning."""

from __future__ import annotations

from tests.support import containers


def pytest_report_header() -> str:
    """Tell where Postgres, Kafka and MinIO are, unless the environment gives them."""
    where = "containers" if containers.available() else "processes started here"
    return f"components: {where}"
