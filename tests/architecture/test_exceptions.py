"""Exceptions to the linter and the type checker: each has its reason; few are `Any`."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.repository import PACKAGES, ROOT, modules

ANY_MAX = 150
"""Each `Any` left is a value that really is unknown: a row's column, a library's."""
_REASONED = re.compile(r"# (?:noqa: [A-Z0-9, ]+|type: ignore\[[\w, -]+\]) *(?:-|#) *\w")
_EXCEPTION = re.compile(r"# noqa|# type: ignore")


def _packages() -> Iterator[Path]:
    return (path for path in modules() if path.parts[0] in PACKAGES)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    return enumerate((ROOT / path).read_text().splitlines(), 1)


def test_every_exception_on_a_line_has_its_reason() -> None:
    """A `noqa` or `type: ignore` names its rule, and why it doesn't hold here."""
    bare = [
        f"{path}:{number}"
        for path in _packages()
        for number, line in _lines(path)
        if _EXCEPTION.search(line) and not _REASONED.search(line)
    ]
    assert bare == []


def test_every_rule_that_is_off_has_its_reason() -> None:
    """In pyproject.toml, a line that switches a rule off says why."""
    text = (ROOT / "pyproject.toml").read_text()
    lint = tomllib.loads(text)["tool"]["ruff"]["lint"]
    codes = [
        *lint["ignore"],
        *(c for f in lint["per-file-ignores"].values() for c in f),
    ]
    for code in codes:
        lines = [line for line in text.splitlines() if f'"{code}"' in line]
        assert lines
        assert all("#" in line for line in lines), code


def _aliases(trees: dict[Path, ast.Module]) -> dict[str, int]:
    """Return how many `Any` each alias of a type holds, by its name."""
    return {
        node.targets[0].id: count
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and not isinstance(node.value, ast.Call)
        if (count := sum(_is_any(part) for part in ast.walk(node.value)))
    }


def _is_any(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "Any"


def any_counts() -> Counter[str]:
    """Return how often `Any` stands in each package; aliases count what they hold."""
    trees = {path: ast.parse((ROOT / path).read_text()) for path in _packages()}
    aliases = _aliases(trees)
    counts: Counter[str] = Counter()
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if _is_any(node):
                counts[path.parts[0]] += 1
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                counts[path.parts[0]] += aliases.get(node.id, 0)
    return counts


def test_any_stands_only_for_what_is_unknown() -> None:
    """There are at most 150 in the six packages."""
    counts = any_counts()
    assert sum(counts.values()) <= ANY_MAX, counts
