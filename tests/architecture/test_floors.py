"""The floors: which package may import which."""

from __future__ import annotations

import subprocess
import sys
import tomllib

from tests.architecture.repository import FLOORS, ROOT


def test_every_contract_on_imports_is_kept() -> None:
    """Every contract on imports in pyproject.toml is kept."""
    lint = "import sys; from importlinter.cli import lint_imports; "
    run = subprocess.run(
        [sys.executable, "-c", lint + "sys.exit(lint_imports(no_cache=True))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_contracts_see_every_floor() -> None:
    """No floor is left out of the contracts."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    linted = config["importlinter"]
    assert set(linted["root_packages"]) == set(FLOORS)
    named = {
        floor.strip()
        for layer in linted["contracts"][0]["layers"]
        for floor in layer.split("|")
    }
    assert named == set(FLOORS)
    assert set(config["mypy"]["packages"]) == set(FLOORS)
    wheel = config["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) == set(FLOORS)
