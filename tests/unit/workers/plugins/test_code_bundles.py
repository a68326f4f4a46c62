"""Code bundles are unpacked below their folder, on every Python that is supported."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from workers.plugins.process.code_bundles import BundleDamagedError, unpack


@pytest.fixture(params=["new", "old"])
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Python that checks archives by itself, and one before 3.11.4."""
    if request.param == "old":
        monkeypatch.delattr(tarfile, "data_filter")
    return str(request.param)


def bundle(folder: Path, *names: str) -> Path:
    """Return an archive of small files."""
    path = folder / "code.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 2
            archive.addfile(info, io.BytesIO(b"x\n"))
    return path


def test_files_are_where_they_were(tmp_path: Path, python: str) -> None:
    """Folders in between are created."""
    unpack(bundle(tmp_path, "a.py", "p/b.py"), tmp_path / python, "code.tar.gz")

    assert (tmp_path / python / "p" / "b.py").read_text() == "x\n"


def test_nothing_lands_outside(tmp_path: Path, python: str) -> None:
    """A name that leads out of the folder is an error; nothing is written there."""
    with pytest.raises(BundleDamagedError):
        unpack(bundle(tmp_path, "../out.py"), tmp_path / python, "code.tar.gz")

    assert not (tmp_path / "out.py").exists()
