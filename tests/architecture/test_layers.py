"""Layers: which package may import which, at every level, and who builds adapters."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from tests.architecture.repository import PACKAGES, ROOT, module_of, modules

# What connects to something: only the bootstrap calls these in the gateway.
ADAPTERS = frozenset(
    {
        "EventStore",
        "FileBlobs",
        "KafkaLog",
        "KafkaReader",
        "LogReader",
        "PostgresLog",
        "PostgresServer",
        "S3Blobs",
        "SystemClock",
        "open_blobs",
        "open_pool",
    }
)


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    """Return which module of the packages imports which."""
    return grimp.build_graph(*PACKAGES, cache_dir=None)


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


def test_the_contracts_see_every_package() -> None:
    """No package is left out of the contracts."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    linted = config["importlinter"]
    assert set(linted["root_packages"]) == set(PACKAGES)
    named = {
        layer.strip()
        for layers in linted["contracts"][0]["layers"]
        for layer in layers.split("|")
    }
    assert named == set(PACKAGES)
    assert set(config["mypy"]["packages"]) == set(PACKAGES)
    wheel = config["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) == set(PACKAGES)
    inner = {c["containers"][0] for c in linted["contracts"] if "containers" in c}
    assert inner >= set(PACKAGES)


def _circle(graph: grimp.ImportGraph, package: str) -> list[str]:
    """Return a circle of imports between a package's direct children, if any."""
    children = graph.find_children(package)
    owner = {
        module: child
        for child in children
        for module in (child, *graph.find_descendants(child))
    }
    uses: dict[str, set[str]] = {child: set() for child in children}
    for module, child in owner.items():
        for imported in graph.find_modules_directly_imported_by(module):
            other = owner.get(imported)
            if other is not None and other != child:
                uses[child].add(other)
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _folders(graph: grimp.ImportGraph) -> Iterator[str]:
    for module in (*PACKAGES, *graph.modules):
        if graph.find_children(module):
            yield module


def test_no_imports_run_in_a_circle(imports: grimp.ImportGraph) -> None:
    """At no level do siblings, folders or modules, import each other in a circle."""
    found = {folder: _circle(imports, folder) for folder in _folders(imports)}
    assert {folder: circle for folder, circle in found.items() if circle} == {}


def _imported_adapters(path: Path) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("infra")
        for alias in node.names
        if alias.name in ADAPTERS
    } - _only_typed(tree)


def _only_typed(tree: ast.Module) -> set[str]:
    """Return the names that a module never calls: it is given what they name."""
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return set(ADAPTERS) - called


def test_only_the_bootstrap_builds_adapters() -> None:
    """In the gateway, what connects to something is called in gateway.bootstrap."""
    found = {
        module_of(path): names
        for path in modules()
        if path.parts[0] == "gateway" and path.parts[1] != "bootstrap"
        if (names := _imported_adapters(path))
    }
    assert found == {}
