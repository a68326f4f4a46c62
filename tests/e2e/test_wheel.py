"""The wheel: built from the sources, installed elsewhere, it runs the demo there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.architecture.repository import PACKAGES, ROOT

pytestmark = pytest.mark.e2e
BUILD_S, DEMO_S = 120, 180


def run(*command: str, cwd: Path, timeout_s: int) -> subprocess.CompletedProcess[str]:
    """Run a command without the clone on its path."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel once, from the sources of this clone."""
    folder = tmp_path_factory.mktemp("wheel")
    command = ("pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w")
    run(
        sys.executable,
        "-m",
        *command,
        str(folder),
        str(ROOT),
        cwd=folder,
        timeout_s=BUILD_S,
    )
    (built,) = folder.glob("flightlog-*.whl")
    return built


def test_the_wheel_holds_every_package_and_what_they_read(wheel: Path) -> None:
    """Modules, schemas, SQL, migrations and the example are in it; tests aren't."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {
        *PACKAGES
    }
    for package in PACKAGES:
        read = (ROOT / package).rglob("*")
        kept = {".py", ".sql", ".avsc"}
        files = {p.relative_to(ROOT).as_posix() for p in read if p.suffix in kept}
        assert files <= names
    assert "gateway/examples/flights/delays.py" in names


def test_the_installed_wheel_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    """In another environment, without the clone: the example is registered and run."""
    home = tmp_path / "env"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    # The dependencies are those of this environment, whose own .pth files aren't read.
    (site,) = home.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ("pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    run(str(python), "-m", *install, cwd=tmp_path, timeout_s=BUILD_S)
    where = "import gateway; print(gateway.__file__)"
    found = run(str(python), "-c", where, cwd=tmp_path, timeout_s=BUILD_S).stdout
    assert Path(found.strip()).is_relative_to(home)
    command = (str(home / "bin" / "flightlog"), "demo", "--data-dir", "data")
    shown = run(*command, cwd=tmp_path, timeout_s=DEMO_S).stdout
    assert "execution SUCCEEDED" in shown
    assert "ranking = " in shown
