"""The views' tables: created and changed by migrations, one file a step."""

from __future__ import annotations

from pathlib import Path

from yoyo import get_backend, read_migrations

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(url: str, *, is_alone: bool = False) -> int:
    """Apply the steps that are missing; return how many there were.

    Who is alone for sure needn't wait for one that was killed at it.
    """
    scheme, _, rest = url.partition("://")
    backend = get_backend(f"{scheme.split('+')[0]}+psycopg://{rest}")
    try:
        if is_alone:
            backend.break_lock()
        with backend.lock():
            missing = backend.to_apply(read_migrations(str(MIGRATIONS)))
            backend.apply_migrations(missing)
            return len(missing)
    finally:
        backend.connection.close()
