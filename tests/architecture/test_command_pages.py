"""Pages of public commands: each is in step with the schema it speaks of.

UPDATE_DOCS=1 writes the tables of fields anew.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest

from schemas.messages import commands
from schemas.wire import registry
from tests.architecture.repository import ROOT

PAGES = ROOT / "docs" / "commands"
UPDATES = os.environ.get("UPDATE_DOCS") == "1"
EACH = pytest.mark.parametrize("cls", commands.PUBLIC, ids=lambda cls: cls.__name__)
_TABLE = re.compile(r"<!-- rendered from the schema -->\n(.*)<!-- end -->\n", re.DOTALL)


def _said(type_: Any) -> str:
    if isinstance(type_, list):
        return " or ".join(_said(branch) for branch in type_)
    if isinstance(type_, dict):
        fields = ", ".join(field["name"] for field in type_.get("fields", ()))
        return f"{type_['name']} ({fields})" if fields else str(type_["type"])
    return str(type_).rpartition(".")[2]


def _rendered(cls: type[Any]) -> str:
    path = registry.schema_path(cls, registry.newest(cls))
    entry = registry.by_class()[cls]
    schema = json.loads(path.read_text())
    rows = [
        f"| `{field['name']}` | {_said(field['type'])} | {_default(field)} |"
        for field in schema["fields"]
    ]
    head = (
        f"`{entry.name}` ([schema](../../{path.relative_to(ROOT)})), "
        f"fingerprint `{entry.fingerprint.hex()}`:"
    )
    lines = [head, "", "| field | type | default |", "| --- | --- | --- |", *rows]
    return "\n".join(lines) + "\n"


def _default(field: dict[str, Any]) -> str:
    if "default" not in field:
        return "required"
    default = field["default"]
    return "empty" if default == "" else f"`{json.dumps(default)}`"


@EACH
def test_a_page_shows_the_fields_of_its_schema(cls: type[Any]) -> None:
    """Name, fingerprint, fields, types and defaults are the newest schema's."""
    page = PAGES / f"{cls.__name__}.md"
    text = page.read_text()
    whole = f"<!-- rendered from the schema -->\n{_rendered(cls)}<!-- end -->\n"
    if UPDATES:
        text = _TABLE.sub(lambda _: whole, text)
        page.write_text(text)
    assert whole in text


@EACH
def test_a_page_explains_each_field(cls: type[Any]) -> None:
    """What a field means stands beside the table, in words."""
    words = _TABLE.sub("", (PAGES / f"{cls.__name__}.md").read_text())
    fields = {field for field in cls.__struct_fields__ if f"`{field}`" not in words}
    assert fields == set()


def test_every_page_is_of_a_public_command_and_listed() -> None:
    """The list of commands leads to each page, and there are no others."""
    names = {cls.__name__ for cls in commands.PUBLIC}
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    listed = re.findall(r"\]\((\w+)\.md\)", (PAGES / "README.md").read_text())
    assert names == pages == set(listed)
