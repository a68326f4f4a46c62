"""The folder of the named SQL statements."""

from __future__ import annotations

from pathlib import Path

SQL_FILES = Path(__file__).parent / "sql"
