"""The schema: as migrations make it, as schema.sql has it, as the rows describe it.

UPDATE_SCHEMA=1 writes schema.sql: after a migration was added, and for nothing else.
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import Any

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from projections import registry_rows, rows
from projections.columns import key_text
from projections.migrate import MIGRATIONS, migrate
from projections.table import Table
from tests.support.components.postgres import empty_database

pytestmark = pytest.mark.integration

SCHEMA = MIGRATIONS.parent / "schema.sql"
HEADER = """\
-- The schema that all migrations together make, for readers. No code runs it: a test
-- holds it equal to the migrations, and writes it with UPDATE_SCHEMA=1
-- (tests/unit/projections/test_schema.py).
"""
COLUMNS = """
SELECT c.relname AS table, a.attname AS name, a.attnotnull AS is_required,
    format_type(a.atttypid, a.atttypmod) AS type, a.attgenerated <> '' AS is_generated,
    pg_get_expr(d.adbin, d.adrelid) AS expression
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    AND c.relname NOT LIKE '%yoyo%' AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""
CONSTRAINTS = """
SELECT c.relname AS table, x.conname AS name, pg_get_constraintdef(x.oid) AS text,
    x.contype = 'p' AS is_key
FROM pg_constraint AS x JOIN pg_class AS c ON c.oid = x.conrelid
WHERE c.relnamespace = 'public'::regnamespace AND x.contype IN ('p', 'u', 'f', 'c')
    AND c.relname NOT LIKE '%yoyo%'
ORDER BY x.conname
"""
INDEXES = """
SELECT c.relname AS table, pg_get_indexdef(i.indexrelid) AS text
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE '%yoyo%'
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)
ORDER BY i.indexrelid::regclass::text
"""
VIEWS = """
SELECT relname AS name, pg_get_viewdef(oid, TRUE) AS text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'v' ORDER BY relname
"""


def described() -> list[Table[rows.ExecutionRow]]:
    """Return every table that a struct of rows describes."""
    found = [*vars(rows).values(), *vars(registry_rows).values()]
    return [table for table in found if isinstance(table, Table)]


@cache
def migrated() -> str:
    """Return the URL of a database that all migrations made."""
    url = empty_database()
    migrate(url)
    return url


def dump(url: str) -> str:
    """Return the schema of a database as SQL."""
    with psycopg.connect(url, row_factory=namedtuple_row) as conn:
        columns, constraints, indexes, views = (
            conn.execute(query).fetchall()
            for query in (COLUMNS, CONSTRAINTS, INDEXES, VIEWS)
        )
    parts = []
    for table in sorted({column.table for column in columns}):
        lines = [_line(column) for column in columns if column.table == table]
        lines += [
            f"CONSTRAINT {constraint.name} {constraint.text}"
            for constraint in constraints
            if constraint.table == table
        ]
        body = ",\n    ".join(lines)
        parts.append(f"CREATE TABLE {table} (\n    {body}\n);")
        parts += [
            f"{index.text.replace('public.', '')};"
            for index in indexes
            if index.table == table
        ]
    parts += [f"CREATE VIEW {view.name} AS\n{_select(view.text)}" for view in views]
    return HEADER + "\n" + "\n\n".join(parts) + "\n"


def _line(column: Any) -> str:
    required = " NOT NULL" if column.is_required else ""
    name = f'"{column.name}"' if column.name == "user" else column.name
    if column.is_generated:
        how = f" GENERATED ALWAYS AS ({column.expression}) STORED"
    else:
        how = f" DEFAULT {column.expression}" if column.expression else ""
    return f"{name} {column.type}{how}{required}"


def _select(text: str) -> str:
    """Return a view's query as every version of Postgres writes it."""
    return re.sub(r"(?<=[ (])(tasks|workflows)\.", "", text)


def test_the_schema_file_is_what_migrations_make() -> None:
    """Its text is that of the migrated database; UPDATE_SCHEMA=1 writes it."""
    found = dump(migrated())
    if os.environ.get("UPDATE_SCHEMA") == "1":
        SCHEMA.write_text(found)

    assert SCHEMA.read_text() == found


def test_the_schema_file_makes_the_same_schema() -> None:
    """It is valid SQL, and nothing of the schema is missing in it."""
    url = empty_database()
    with psycopg.connect(url) as conn:
        conn.execute(SCHEMA.read_text())

    assert dump(url) == SCHEMA.read_text()


@pytest.mark.parametrize("table", described(), ids=lambda table: table.name)
def test_rows_describe_their_tables(table: Table[rows.ExecutionRow]) -> None:
    """Columns have the type that the row's field says; what it omits has a default."""
    with psycopg.connect(migrated(), row_factory=namedtuple_row) as conn:
        found = {
            column.name: column
            for column in conn.execute(COLUMNS).fetchall()
            if column.table == table.name
        }
        (key,) = (
            constraint.text
            for constraint in conn.execute(CONSTRAINTS).fetchall()
            if constraint.table == table.name and constraint.is_key
        )
    actual = {
        name: (_type(found[name].type), not found[name].is_required)
        for name in table.columns
    }

    assert actual == {
        column.name: (_type(column.storage.type), column.is_nullable)
        for column in table.columns.values()
    }
    assert key == f"PRIMARY KEY ({', '.join(table.key)})"
    assert all(found[name].expression for name in found.keys() - table.columns.keys())


IN_INDEXES = """
SELECT t.relname::text AS table, a.attname::text AS name
FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = ANY(i.indkey)
WHERE t.relnamespace = 'public'::regnamespace
    AND format_type(a.atttypid, NULL) = 'text'
"""


def test_no_text_is_too_long_for_its_index() -> None:
    """What the projector writes into an index is shortened to what that holds."""
    tables = {t.name: t for t in vars(rows).values() if isinstance(t, Table)}
    with psycopg.connect(migrated()) as conn:
        found = conn.execute(IN_INDEXES).fetchall()
    checked = {
        f"{table}.{name}": tables[table].columns[name].storage.dump is key_text
        for table, name in found
        if table in tables
    }

    assert "signals.signal_id" in checked
    assert [name for name, is_shortened in checked.items() if not is_shortened] == []


def _type(name: str) -> str:
    return {"timestamp with time zone": "timestamptz", "integer": "bigint"}.get(
        name, name
    )
