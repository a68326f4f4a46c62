"""Documents: settings are rendered from their source, links and commands exist.

UPDATE_DOCS=1 updates docs/configuration.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.main import get_command

from gateway.cli.main import app
from infra.settings import CONFIG_VARIABLE, Settings
from tests.architecture.repository import ROOT, kept_files

CONFIGURATION = ROOT / "docs" / "configuration.md"
UPDATES = os.environ.get("UPDATE_DOCS") == "1"
# Defaults that depend on the machine, as people would say them.
SAID = {
    "data_dir": "`~/.flightlog`",
    "process.python": "the engine's own",
    "process.concurrency": "the machine's cores, at least 2",
}
DOCUMENTS = tuple(path for path in kept_files() if path.suffix == ".md")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
_COMMAND = re.compile(r"^(?:\$ )?flightlog ((?:[a-z][a-z-]* ?)+)", re.MULTILINE)
_NAMED_COMMAND = re.compile(r"`flightlog ((?:[a-z-]+ ?)+)")
_TARGET = re.compile(r"^make ([a-z]+)|`make ([a-z]+)`", re.MULTILINE)
_HEAD = f"""# Configuration

Rendered from `infra/settings.py` and `infra/setting_sections`; a test keeps it up to date.

Each setting is read from, in this order: an option of `flightlog up`, the environment, a TOML file that `{CONFIG_VARIABLE}` names, the default.
A section's name and a setting's are joined by two underscores in the environment, and are a table and a key in TOML:

```sh
FLIGHTLOG_PROCESS__CONCURRENCY=4 flightlog up
```

```toml
[process]
concurrency = 4
```

Invalid values, unknown names in the file, unknown variables `FLIGHTLOG_*` and names that settings had before end the start with a message that says what to change, and where.
Variables that tasks set for themselves, and those that Kubernetes injects for services called `flightlog…` (`FLIGHTLOG_PORT=tcp://…`), are ignored.
"""


def _parts(
    model: type[BaseModel] = Settings, part: str = ""
) -> Iterator[tuple[str, type[BaseModel]]]:
    yield part, model
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from _parts(type(field.default), f"{part}.{name}".lstrip("."))


def _rows(part: str, model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            continue
        full = f"{part}.{name}" if part else name
        variable = f"FLIGHTLOG_{full.replace('.', '__').upper()}"
        said = SAID.get(full) or _plain(field.default)
        yield f"| `{full}` | `{variable}` | {said} | {field.description} |"


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return f"`{list(value)}`".replace("'", '"')
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if str(value) else "empty"


def _rendered() -> str:
    text = [_HEAD]
    for part, model in _parts():
        title = part or "The engine"
        said = (model.__doc__ or "").strip().split("\n", 1)[0]
        text.append(f"## {title}\n")
        if part:
            text.append(f"{said}\n")
        text += [
            "| setting | variable | default | meaning |",
            "| --- | --- | --- | --- |",
        ]
        text += [*_rows(part, model), ""]
    return "\n".join(text)


def test_the_configuration_page_tells_what_the_settings_are() -> None:
    """Every setting stands on the page, with its default and its meaning."""
    if UPDATES:
        CONFIGURATION.write_text(_rendered())
    assert _rendered() == CONFIGURATION.read_text()


def test_every_setting_says_what_it_means() -> None:
    """A setting without a description is one that nobody dares to touch."""
    mute = [
        row for part, model in _parts() for row in _rows(part, model) if "None |" in row
    ]
    assert mute == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """A relative link names a file that is there."""
    here = (ROOT / document).parent
    links = _LINK.findall((ROOT / document).read_text())
    assert [link for link in links if not (here / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_commands_that_documents_name_exist(document: Path) -> None:
    """What is to be typed can be typed: flightlog's commands, make's targets."""
    text = (ROOT / document).read_text()
    named = [*_COMMAND.findall(text), *_NAMED_COMMAND.findall(text)]
    assert [words for words in named if not _is_command(words.split())] == []
    makefile = (ROOT / "Makefile").read_text()
    targets = {a or b for a, b in _TARGET.findall(text)}
    assert {t for t in targets if f"\n{t}:" not in makefile} == set()


def _is_command(words: list[str]) -> bool:
    found: Any = get_command(app)
    for word in words:
        commands = getattr(found, "commands", None)
        if commands is None:
            return True
        if word not in commands:
            return False
        found = commands[word]
    return True


def test_the_defaults_that_are_told_in_words_exist() -> None:
    """What is said of a machine's defaults belongs to a setting."""
    names = {f"{p}.{n}" if p else n for p, m in _parts() for n in m.model_fields}
    assert set(SAID) <= names
