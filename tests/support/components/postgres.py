"""A real Postgres for tests: one server a run, a fresh database for each test.

One that TESTS_POSTGRES gives (the URL of its database `postgres`), one in a
container, or the embedded one.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

from infra.postgres.embedded_server import PostgresServer
from projections.migrate import migrate
from tests.support.components import containers

_NUMBERS = itertools.count(1)
_RUN = f"test_{os.getpid()}"
"""Names of a run's databases begin with this: others may use the same server."""
_TEMPLATE = f"{_RUN}_template"


@cache
def server_url() -> str:
    """Find or start the server, once; what was started is removed when the run ends."""
    given = os.environ.get("TESTS_POSTGRES")
    if given:
        return given if "?" in given else f"{given}?"
    if containers.available():
        return containers.postgres_url()
    folder = Path(tempfile.mkdtemp(prefix="flightlog-test-"))
    folder.chmod(0o755)
    server = PostgresServer(folder / "pg")
    url = server.start()

    def stop() -> None:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return url


def database_url(name: str) -> str:
    """Return the URL of a database on the server."""
    return server_url().replace("/postgres?", f"/{name}?", 1)


def empty_database() -> str:
    """Create a database without tables; return its URL."""
    name = f"{_RUN}_{next(_NUMBERS)}"
    _execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    return database_url(name)


def migrated_database() -> str:
    """Create a database with the empty read models; return its URL."""
    name = f"{_RUN}_{next(_NUMBERS)}"
    _execute(
        SQL("CREATE DATABASE {} TEMPLATE {}").format(
            Identifier(name), Identifier(_migrated_template())
        )
    )
    return database_url(name)


@cache
def _migrated_template() -> str:
    _execute(SQL("CREATE DATABASE {}").format(Identifier(_TEMPLATE)))
    migrate(database_url(_TEMPLATE))
    return _TEMPLATE


def _execute(statement: psycopg.sql.Composed) -> None:
    with psycopg.connect(server_url(), autocommit=True) as conn:
        conn.execute(statement)
