"""The version before this one, as its wheel: unpacked, to run beside today's."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from tests.architecture.repository import ROOT

COMMIT = "82331f90c75262727f5b8d54a503996f9f363833"
"""The commit that the version before was made of: the one that brought the gate."""
VARIABLE = "TESTS_WHEEL_BEFORE"
"""Names that version's wheel where the clone has no history."""
_BUILD_S = 180


def version_before(folder: Path) -> Path | None:
    """Return a folder with the packages of the version before; None if unavailable."""
    wheel = _wheel(folder)
    if wheel is None:
        return None
    packages = folder / "before"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)  # noqa: S202 - a wheel that was just built
    return packages


def _wheel(folder: Path) -> Path | None:
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    sources = folder / "sources-before"
    archive = ("git", "-C", str(ROOT), "archive", COMMIT)
    done = subprocess.run(archive, capture_output=True, check=False)
    if done.returncode:
        return None
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archived:
        archived.extractall(sources, filter="data")
    build = (
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index",
        "--no-build-isolation", "-w", str(folder / "wheel-before"), str(sources),
    )  # fmt: skip
    subprocess.run(build, check=True, timeout=_BUILD_S, cwd=folder)
    (wheel,) = (folder / "wheel-before").glob("flightlog-*.whl")
    return wheel
