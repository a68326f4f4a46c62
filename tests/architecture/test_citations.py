"""Citations: sections, paths and settings that code and pages name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.setting_names import paths
from infra.settings import Settings
from tests.architecture.repository import PACKAGES, ROOT, kept_files

REFERENCE = Path("docs/reference/flyte-behaviour.md")
TOP = frozenset(path.parts[0] for path in kept_files() if len(path.parts) > 1)
SUFFIXES = frozenset(path.suffix for path in kept_files() if path.suffix)
CITING = tuple(
    path
    for path in kept_files()
    if path.suffix in {".py", ".md", ".sql", ".toml"}
    and path.parts[0] in {*PACKAGES, "tests", "docs", path.name}
)
PAGES = tuple(path for path in kept_files() if path.suffix == ".md")
HISTORY = Path("CHANGELOG.md")
# Written in pieces, so that this file doesn't cite anything itself.
_SIGN = "\N{SECTION SIGN}"
_NUMBER = rf"{_SIGN}(\d+(?:\.\d+)*)(?!\.?\w)"
_CITED = re.compile(rf"\bref {_NUMBER}(?:, {_NUMBER})*")
_OF_A_STANDARD = re.compile(rf"\bRFC \d+ {_NUMBER}")
_HEADING = re.compile(r"^#+ (\d+(?:\.\d+)*)\.? ", re.MULTILINE)
_PAPER = re.compile("style" + r"[ -]guide|\bdesign" + r"\.md\b", re.IGNORECASE)
_CODE = re.compile(r"`([^`\n]+)`")
_SETTING = re.compile(r"[a-z0-9_]+\.([a-z0-9_]+|\*)")
_PLACEHOLDER = re.compile(r"<[^>]*>|…")


def _text(path: Path) -> str:
    return (ROOT / path).read_text()


def _headings() -> list[str]:
    return _HEADING.findall(_text(REFERENCE))


def _cited(path: Path) -> set[str]:
    """Return the sections of the reference that a file cites; it cites itself too."""
    text = _text(path)
    lists = [text] if path == REFERENCE else [m[0] for m in _CITED.finditer(text)]
    return {number for found in lists for number in re.findall(_NUMBER, found)}


def test_cited_sections_have_a_heading() -> None:
    """A section that is cited has a heading of that number in the reference."""
    known = set(_headings())
    found = {str(path): _cited(path) - known for path in CITING}
    assert {path: lost for path, lost in found.items() if lost} == {}


def test_no_two_sections_have_one_number() -> None:
    """A number leads to one heading."""
    assert sorted(set(_headings())) == sorted(_headings())


def test_only_papers_of_the_repository_are_cited() -> None:
    """A section is one of the reference, or of a standard: `(ref ...)`, `RFC ...`."""
    found = []
    for path in set(CITING) - {REFERENCE}:
        rest = _OF_A_STANDARD.sub("", _CITED.sub("", _text(path)))
        found += [
            f"{path}: {line.strip()}"
            for line in rest.splitlines()
            if _SIGN in line or _PAPER.search(line)
        ]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_paths_that_pages_name_exist(page: Path) -> None:
    """What looks like a path of the repository is one; `<kind>` stands for anything."""
    words = [word for code in _CODE.findall(_text(page)) for word in code.split()]
    named = [word for word in words if _is_path(word)]
    assert [word for word in named if not _exists(page, word)] == []


def _is_path(word: str) -> bool:
    top, _, rest = word.partition("/")
    if not rest or re.search(r"[:{]|^[/.~$<-]", word):
        return False
    return top in TOP or Path(rest).suffix in SUFFIXES


def _exists(page: Path, word: str) -> bool:
    pattern = _PLACEHOLDER.sub("*", word).rstrip("/")
    folders = ROOT, (ROOT / page).parent
    return any(any(folder.glob(pattern)) for folder in folders)


@pytest.mark.parametrize("page", [p for p in PAGES if p != HISTORY], ids=str)
def test_settings_that_pages_name_exist(page: Path) -> None:
    """A setting is named as it is: `part.name`, or its variable; `part.*` is all."""
    found = [".".join(path) for path in paths(Settings)]
    sections = {name.rpartition(".")[0] for name in found if "." in name}
    names = {name for name in found if "." in name} | {f"{one}.*" for one in sections}
    parts = {name.partition(".")[0] for name in names}
    known = {f"FLIGHTLOG_{n.replace('.', '__').upper()}" for n in names}
    text = _text(page)
    named = {word for word in _CODE.findall(text) if _SETTING.fullmatch(word)}
    variables = set(re.findall(r"\bFLIGHTLOG_[A-Z0-9]+__[A-Z0-9_*]+", text))
    own = {word for word in named if word.partition(".")[0] in parts}
    assert own - names == set()
    assert variables - known == set()
