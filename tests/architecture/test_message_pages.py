"""Pages of public messages, commands and events: each is in step with its schema.

UPDATE_DOCS=1 renders the tables of fields: between `<!-- NodeQueued: rendered from the
schema -->` and `<!-- end -->`, on whichever page of the folder that stands.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from schemas.messages import commands, execution_events, outcomes, registry_events
from schemas.wire import registry
from tests.architecture.repository import ROOT

COMMANDS = ROOT / "docs" / "commands"
EVENTS = ROOT / "docs" / "events"
PUBLIC: dict[type[Any], Path] = {
    **dict.fromkeys(commands.PUBLIC, COMMANDS),
    **dict.fromkeys(get_args(execution_events.ExecutionEvent), EVENTS),
    **dict.fromkeys(get_args(registry_events.RegistryEvent), EVENTS),
    **dict.fromkeys((outcomes.CommandRejected, outcomes.CommandHadNoEffect), EVENTS),
}
UPDATES = os.environ.get("UPDATE_DOCS") == "1"
EACH = pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
_BLOCK = re.compile(
    r"<!-- (\w+): rendered from the schema -->\n(.*?)<!-- end -->\n", re.DOTALL
)


def _pages(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.md"))


def _page(cls: type[Any]) -> Path:
    """Return the page with the table of a message; there is one."""
    folder, mark = PUBLIC[cls], f"<!-- {cls.__name__}: rendered"
    found = [page for page in _pages(folder) if mark in page.read_text()]
    assert len(found) == 1, f"Expected one page of {folder.name} with '{mark} …'"
    return found[0]


def _schema(cls: type[Any], version: int) -> Any:
    return json.loads(registry.ENGINE.schema_path(cls, version).read_text())


def _type(type_: Any) -> str:
    if isinstance(type_, list):
        return " or ".join(_type(branch) for branch in type_)
    if not isinstance(type_, dict):
        return str(type_).rpartition(".")[2]
    if type_["type"] == "array":
        return f"list of {_type(type_['items'])}"
    fields = ", ".join(field["name"] for field in type_["fields"])
    return f"{type_['name']} ({fields})"


def _default(field: dict[str, Any]) -> str:
    if "default" not in field:
        return "required"
    default = field["default"]
    return "empty" if default in ("", []) else f"`{json.dumps(default)}`"


def _names(type_: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every field, those of records inside too."""
    if isinstance(type_, list):
        for branch in type_:
            yield from _names(branch, path)
    elif isinstance(type_, dict) and type_["type"] == "array":
        yield from _names(type_["items"], path)
    elif isinstance(type_, dict):
        for field in type_["fields"]:
            yield path + field["name"]
            yield from _names(field["type"], f"{path}{field['name']}.")


def _older(cls: type[Any]) -> Iterator[str]:
    """Yield a sentence for each older version: the fields that it didn't have."""
    newest = list(_names(_schema(cls, registry.ENGINE.newest(cls))))
    for version in range(1, registry.ENGINE.newest(cls)):
        known = set(_names(_schema(cls, version)))
        lacking = [name for name in newest if name not in known]
        whole = [n for n in lacking if n.rpartition(".")[0] not in lacking]
        yield f"Version {version} has no {', '.join(f'`{n}`' for n in whole)}."


def _rendered(cls: type[Any]) -> str:
    version = registry.ENGINE.newest(cls)
    entry = next(
        entry
        for entry in registry.ENGINE.entries
        if (entry.cls, entry.version) == (cls, version)
    )
    path = registry.ENGINE.schema_path(cls, version).relative_to(ROOT)
    head = (
        f"`{entry.name}` ([schema](../../{path})), "
        f"fingerprint `{entry.fingerprint.hex()}`:"
    )
    rows = [
        f"| `{field['name']}` | {_type(field['type'])} | {_default(field)} |"
        for field in _schema(cls, version)["fields"]
    ]
    lines = [head, "", "| field | type | default |", "| --- | --- | --- |", *rows]
    lines += ["", *_older(cls)] if version > 1 else []
    begin = f"<!-- {cls.__name__}: rendered from the schema -->"
    return "\n".join((begin, *lines, "<!-- end -->")) + "\n"


def _section(cls: type[Any]) -> str:
    """Return what a page says of a message: its section, and what is above them all."""
    above, *sections = re.split(r"(?m)^(?=## )", _BLOCK.sub("", _page(cls).read_text()))
    if PUBLIC[cls] == COMMANDS:
        return "".join((above, *sections))
    own = next(text for text in sections if text.startswith(f"## {cls.__name__}\n"))
    return above + own


@EACH
def test_a_page_shows_the_fields_of_its_schema(cls: type[Any]) -> None:
    """Name, fingerprint, fields, types and defaults are the newest schema's."""
    page, rendered = _page(cls), _rendered(cls)
    if UPDATES:
        text = _BLOCK.sub(
            lambda found: rendered if found[1] == cls.__name__ else found[0],
            page.read_text(),
        )
        page.write_text(text)
    assert rendered in page.read_text()


@EACH
def test_a_page_explains_each_field(cls: type[Any]) -> None:
    """What a field means is said beside the table, or above all of a page's tables."""
    words = _section(cls)
    fields = {field for field in cls.__struct_fields__ if f"`{field}`" not in words}
    assert fields == set()


@pytest.mark.parametrize("folder", [COMMANDS, EVENTS], ids=lambda path: path.name)
def test_every_table_is_of_a_public_message_and_every_page_is_listed(
    folder: Path,
) -> None:
    """The list of a folder leads to each page, and no table is of anything else."""
    pages = [page for page in _pages(folder) if page.stem != "README"]
    tables = [name for p in pages for name, _ in _BLOCK.findall(p.read_text())]
    public = {cls.__name__ for cls, where in PUBLIC.items() if where == folder}
    listed = re.findall(r"\]\(([\w-]+)\.md", (folder / "README.md").read_text())
    assert sorted(public) == sorted(tables)
    assert {page.stem for page in pages} == set(listed)
