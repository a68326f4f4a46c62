"""Migrations of the read models: applied, repeated, rolled back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import psycopg
import pytest
from psycopg.sql import SQL, Composed, Identifier, Literal
from yoyo import get_backend, read_migrations

from projections.migrate import MIGRATIONS, migrate
from tests.support.components.postgres import empty_database

RELEASED = (
    "0001_views",
    "0002_whole_ids",
    "0010_dynamic",
    "0011_arrays",
    "0012_signals",
    "0013_catalog",
    "0018_deletions",
    "0021_descriptions",
    "0022_execution_states",
    "0023_keys_first",
    "0023_sources",
    "0024_cache_uses",
)
"""Migrations that databases have applied by these names; those after them are numbered
without gaps, and say in the name when they are applied."""
NAME = re.compile(r"(?P<number>\d{4})_(pre|post)_[a-z0-9_]+")


def unnamed(steps: Sequence[str]) -> list[str]:
    """Return what is wrong with the names of migrations."""
    new = [step for step in steps if step not in RELEASED]
    wrong = [f"{step}: released, but gone" for step in RELEASED if step not in steps]
    first = int(RELEASED[-1][:4]) + 1
    for number, step in enumerate(new, first):
        match = NAME.fullmatch(step)
        if match is None:
            wrong.append(f"{step}: isn't <number>_pre_<what> or <number>_post_<what>")
        elif int(match["number"]) != number:
            wrong.append(f"{step}: its number isn't {number:04}, the next one")
    return wrong


def steps() -> list[str]:
    """Return the names of all migrations, in order."""
    names = [path.stem for path in MIGRATIONS.glob("*.sql")]
    return sorted(name for name in names if not name.endswith(".rollback"))


def test_migrations_are_named_in_order() -> None:
    """Released names stay; numbers go on from there, none missing or used twice."""
    assert unnamed(steps()) == []


@pytest.mark.parametrize(
    "added",
    [
        ["0025_labels"],
        ["0026_pre_labels"],
        ["0025_pre_labels", "0025_post_labels"],
        ["0025_pre_labels", "0027_post_labels"],
        ["0025_later_labels"],
    ],
)
def test_other_names_are_found(added: list[str]) -> None:
    """A number missing or used twice, no pre or post: each is found."""
    assert unnamed([*RELEASED, "0025_pre_labels", "0026_post_labels"]) == []
    assert len(unnamed([*RELEASED, *added])) == 1


def test_no_released_migration_is_missing() -> None:
    """A database that has applied it can't be rolled back otherwise."""
    assert len(unnamed(RELEASED[1:])) == 1


def test_every_migration_can_be_rolled_back() -> None:
    """Each has its rollback, and depends on the one before."""
    for before, step in itertools.pairwise(steps()):
        assert (MIGRATIONS / f"{step}.rollback.sql").exists() or step in RELEASED
        text = (MIGRATIONS / f"{step}.sql").read_text()
        assert step in RELEASED or f"-- depends: {before}" in text, step


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


def test_every_migration_is_applied_once() -> None:
    """A second run of the migrations finds nothing to do."""
    url = empty_database()

    assert len(steps()) == migrate(url)
    assert migrate(url) == 0


def test_all_migrations_can_be_rolled_back() -> None:
    """Rolled back to the start, nothing of the read models is left."""
    url = empty_database()
    migrate(url)
    assert "executions" in tables(url)
    backend = get_backend(url.replace("postgresql://", "postgresql+psycopg://"))
    with backend.lock():
        migrations = read_migrations(str(MIGRATIONS))
        backend.rollback_migrations(backend.to_rollback(migrations))
    backend.connection.close()

    assert tables(url) == set()
