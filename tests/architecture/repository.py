"""The repository: its packages, modules and kept files."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "domain", "infra", "projections", "workers", "gateway")
_GENERATED = frozenset(
    {".git", ".venv", "__pycache__", "build", "dist", "node_modules"}
)


@cache
def modules() -> tuple[Path, ...]:
    """Return every Python file of the packages and the tests, relative to the root."""
    return tuple(
        path.relative_to(ROOT)
        for folder in (*PACKAGES, "tests", "examples")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not _GENERATED & set(path.parts[len(ROOT.parts) :])
    )


@cache
def kept_files() -> tuple[Path, ...]:
    """Return the files that git keeps, or all of them where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    names = [Path(name) for name in listed.stdout.decode().split("\0") if name]
    if listed.returncode != 0:
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        names = [
            p for p in found if not _GENERATED & set(p.parts) and p.parts[0][0] != "."
        ]
    return tuple(path for path in names if (ROOT / path).is_file())


def module_of(path: Path) -> str:
    """Return a file's module name."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
