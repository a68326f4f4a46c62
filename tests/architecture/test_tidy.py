"""Tidiness: small files, functions and folders; docstrings; no private paths."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.repository import PACKAGES, ROOT, kept_files, modules

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 40
TEST_FUNCTION_LINES_MAX = 60
FOLDER_MODULES_MAX = 15
EMPTY_NAMES = frozenset(
    {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
)
# A ratchet: a file listed here may shrink, never grow past its number.
LONGER_FILES: dict[str, int] = {}
# Written in pieces, so that this file doesn't name them itself.
_PRIVATE = re.compile(
    "|".join(
        (
            r"(?<![\w.~}-])/(?:" + "work|root" + ")/",
            r"/home/" + r"(?!flightlog|user|you)\w",
            "python" + "hosted",
            "index" + r"-url\s*[=h]",
            "pypi" + r"\.org",
            "registry" + r"\.npmjs",
            "arti" + "factory",
        )
    )
)


def _text(path: Path) -> str:
    return (ROOT / path).read_text()


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(_text(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_every_module_says_what_it_is() -> None:
    """Every module begins with a docstring whose first line ends with a dot."""
    mute = []
    for path in modules():
        said = ast.get_docstring(ast.parse(_text(path))) or ""
        if not said.split("\n", 1)[0].endswith((".", ":")):
            mute.append(str(path))
    assert mute == []


def test_packages_hold_nothing_but_a_docstring() -> None:
    """An __init__.py is a docstring: imports are absolute and name the module."""
    full = [
        str(path)
        for path in modules()
        if path.name == "__init__.py" and len(ast.parse(_text(path)).body) != 1
    ]
    assert full == []


def test_files_stay_small() -> None:
    """A file has at most 400 lines, or what the ratchet grants it."""
    long = {
        str(path): lines
        for path in modules()
        if (lines := len(_text(path).splitlines()))
        > LONGER_FILES.get(str(path), FILE_LINES_MAX)
    }
    assert long == {}


def test_functions_stay_small() -> None:
    """A function of the packages has at most 40 lines, one of the tests 60."""
    long = {
        f"{path}:{name}": lines
        for path in modules()
        for name, lines in _functions(path)
        if lines
        > (FUNCTION_LINES_MAX if path.parts[0] in PACKAGES else TEST_FUNCTION_LINES_MAX)
    }
    assert long == {}


def test_folders_stay_small() -> None:
    """A folder of the packages, or of the tests' support, has at most 15 modules."""
    counts = Counter(
        path.parent
        for path in modules()
        if path.name != "__init__.py"
        and (path.parts[0] in PACKAGES or path.parts[:2] == ("tests", "support"))
    )
    assert {str(f): n for f, n in counts.items() if n > FOLDER_MODULES_MAX} == {}


def test_unit_tests_mirror_the_packages() -> None:
    """A folder of unit tests is named as the folder of what it tests."""
    folders = {path.parent for path in modules() if path.parts[:2] == ("tests", "unit")}
    lost = [
        str(folder)
        for folder in folders
        if not (ROOT / Path(*folder.parts[2:])).is_dir()
    ]
    assert lost == []


def test_the_ratchet_lists_nothing_that_is_gone() -> None:
    """An exception of the ratchet goes when its file has become small or left."""
    stale = [
        name
        for name in LONGER_FILES
        if not (ROOT / name).exists()
        or len(_text(Path(name)).splitlines()) <= FILE_LINES_MAX
    ]
    assert stale == []


def test_modules_are_named_for_what_they_hold() -> None:
    """No module is named for being something else's drawer."""
    drawers = [
        str(path)
        for path in modules()
        if path.stem in EMPTY_NAMES or EMPTY_NAMES & set(path.parent.parts)
    ]
    assert drawers == []


def test_no_kept_file_names_a_machine_or_a_registry() -> None:
    """No file that git keeps names a path of one machine, or a registry's host."""
    found = []
    for path in kept_files():
        try:
            text = _text(path)
        except UnicodeDecodeError:
            continue
        found += [
            f"{path}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), 1)
            if _PRIVATE.search(line)
        ]
    assert found == []


def test_nothing_unfinished_is_kept() -> None:
    """No stub, debugger or print is left in the engine."""
    left = [
        f"{path}:{number}"
        for path in modules()
        if path.parts[0] in PACKAGES
        for number, line in enumerate(_text(path).splitlines(), 1)
        if re.search(r"raise NotImplementedError|breakpoint\(\)|\b(TODO|FIXME)\b", line)
    ]
    assert left == []
