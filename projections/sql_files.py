"""Where the named SQL statements of the read models lie."""

from __future__ import annotations

from pathlib import Path

SQL_FILES = Path(__file__).parent / "sql"
