"""Migrations of the read models: applied, repeated, rolled back."""

from __future__ import annotations

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal
from yoyo import get_backend, read_migrations

from projections.migrate import MIGRATIONS, migrate
from tests.support.components.postgres import empty_database


def tables(url: str) -> set[str]:
    """Return the tables that aren't the migration tool's own."""
    with psycopg.connect(url) as conn:
        rows = conn.execute(
            "SELECT table_name FROM information_schema.tables "
            "WHERE table_schema = 'public'"
        ).fetchall()
    return {name for (name,) in rows if "yoyo" not in name}


KEYS = """
SELECT t.relname::text AS name, i.indexrelid::regclass::text AS index,
    array_agg(ARRAY[a.attname::text, format_type(a.atttypid, NULL)]) AS columns
FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = ANY(i.indkey)
WHERE i.indisprimary AND t.relnamespace = 'public'::regnamespace
    AND t.relname NOT LIKE '%yoyo%'
GROUP BY t.relname, i.indexrelid
"""


def by_key(table: str, columns: list[list[str]]) -> Composed:
    """Return the explanation of a query for one row by its whole key."""
    wheres = [
        SQL("{} = {}").format(Identifier(name), Literal("1" if kind == "text" else 1))
        for name, kind in columns
    ]
    where = SQL(" AND ").join(wheres)
    return SQL("EXPLAIN SELECT * FROM {} WHERE {}").format(Identifier(table), where)


def test_rows_are_found_by_their_whole_key() -> None:
    """A plan made while tables are empty is kept: it must hold for large ones too."""
    url = empty_database()
    migrate(url)
    with psycopg.connect(url) as conn:
        keys = conn.execute(KEYS).fetchall()
        plans = {
            (table, index): str(conn.execute(by_key(table, columns)).fetchall())
            for table, index, columns in keys
        }

    assert "node_executions" in {table for table, _ in plans}
    assert [t for (t, index), plan in plans.items() if f" {index} " not in plan] == []


def test_every_step_is_applied_once() -> None:
    """A second run of the migrations finds nothing to do."""
    url = empty_database()
    steps = len([p for p in MIGRATIONS.glob("*.sql") if "rollback" not in p.name])

    assert steps == migrate(url)
    assert migrate(url) == 0


def test_every_step_can_be_taken_back() -> None:
    """Rolled back to the start, nothing of the read models is left."""
    url = empty_database()
    migrate(url)
    assert "executions" in tables(url)
    backend = get_backend(url.replace("postgresql://", "postgresql+psycopg://"))
    with backend.lock():
        steps = read_migrations(str(MIGRATIONS))
        backend.rollback_migrations(backend.to_rollback(steps))
    backend.connection.close()

    assert tables(url) == set()
