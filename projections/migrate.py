"""The schema of the read models: created and changed by migrations, a file each."""

from __future__ import annotations

from pathlib import Path

from yoyo import get_backend, read_migrations

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(url: str, *, is_alone: bool = False) -> int:
    """Apply the migrations that are missing; return how many there were.

    With `is_alone`, no other process migrates: the lock of one that was killed while it
    did is broken.
    """
    _, _, rest = url.partition("://")
    backend = get_backend(f"postgresql+psycopg://{rest}")
    try:
        if is_alone:
            backend.break_lock()
        with backend.lock():
            missing = backend.to_apply(read_migrations(str(MIGRATIONS)))
            backend.apply_migrations(missing)
            return len(missing)
    finally:
        backend.connection.close()
