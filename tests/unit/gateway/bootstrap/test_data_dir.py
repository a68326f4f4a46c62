"""The data folder: one engine at a time, found by its address, its secret kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.bootstrap.data_dir import DataDir, EngineAddress, EngineAlreadyRunningError

ADDRESS = EngineAddress(
    pid=1, host="127.0.0.1", grpc_port=2, http_port=3, postgres="postgresql://x",
    version="0", started_at_us=4,
)  # fmt: skip


def test_shows_the_engine_that_holds_it(tmp_path: Path) -> None:
    """The address is there while the folder is held, and only then."""
    data = DataDir(tmp_path / "new" / "folder")
    assert data.address() is None
    with data.hold():
        assert data.address() is None
        data.announce(ADDRESS)
        assert DataDir(data.path).address() == ADDRESS
    assert data.address() is None


def test_ignores_what_a_killed_engine_left(tmp_path: Path) -> None:
    """An address without a holder is stale."""
    data = DataDir(tmp_path)
    with data.hold():
        pass
    data.announce(ADDRESS)
    assert data.address() is None
    with data.hold():
        assert data.address() is None


def test_refuses_a_second_engine(tmp_path: Path) -> None:
    """Two engines can't have one folder; the second is told who has it."""
    data = DataDir(tmp_path)
    with data.hold():
        data.announce(ADDRESS)
        with (
            pytest.raises(EngineAlreadyRunningError, match="pid 1"),
            DataDir(tmp_path).hold(),
        ):
            pass


def test_keeps_its_secret_to_itself(tmp_path: Path) -> None:
    """The secret is drawn once, and only its owner may read it."""
    data = DataDir(tmp_path)
    assert data.secret() == DataDir(tmp_path).secret()
    assert len(data.secret()) == 32
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
