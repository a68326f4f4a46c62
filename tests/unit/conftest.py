"""Fixtures of the readers' tests: a fresh database with empty read models."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from infra.postgres.pool import Pool, open_pool
from tests.support.components.postgres import migrated_database
from tests.support.harness.read_models import ReadModels


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """Open a pool on a database whose views are empty."""
    pool = await open_pool(migrated_database(), size=3)
    yield pool
    await pool.close()


@pytest.fixture
def read_models(pool: Pool) -> ReadModels:
    """Return views without rows, and an empty log to feed them."""
    return ReadModels(pool)
