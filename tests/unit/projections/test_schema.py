"""The views' migrations: forth, again, and back."""

from __future__ import annotations

import psycopg
from yoyo import get_backend, read_migrations

from projections.schema import MIGRATIONS, migrate
from tests.support.postgres import empty_database


def tables(url: str) -> set[str]:
    """Return the tables that aren't the migration tool's own."""
    with psycopg.connect(url) as conn:
        rows = conn.execute(
            "SELECT table_name FROM information_schema.tables "
            "WHERE table_schema = 'public'"
        ).fetchall()
    return {name for (name,) in rows if "yoyo" not in name}


def test_every_step_is_applied_once() -> None:
    """A second run of the migrations finds nothing to do."""
    url = empty_database()
    steps = len([p for p in MIGRATIONS.glob("*.sql") if "rollback" not in p.name])

    assert steps == migrate(url)
    assert migrate(url) == 0


def test_every_step_can_be_taken_back() -> None:
    """Rolled back to the start, nothing of the views is left."""
    url = empty_database()
    migrate(url)
    assert "executions" in tables(url)
    backend = get_backend(url.replace("postgresql://", "postgresql+psycopg://"))
    with backend.lock():
        steps = read_migrations(str(MIGRATIONS))
        backend.rollback_migrations(backend.to_rollback(steps))
    backend.connection.close()

    assert tables(url) == set()
