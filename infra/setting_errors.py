"""What is wrong with settings, in words that name the setting and where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from infra.setting_names import Path, nearest, paths, variable, variables

_SHOWN_MAX = 80
_EXPECTED = {
    "extra_forbidden": "",
    "tuple_type": 'a list in JSON, like \'["a", "b"]\'',
    "model_type": "a table, in a variable as JSON",
    "path_type": "a path",
    "finite_number": "a finite number",
}


def explain(
    error: ValidationError,
    model: type[BaseModel],
    *,
    options: Mapping[str, object],
    environment: Mapping[str, str],
    file: str,
) -> Iterator[str]:
    """Yield what is wrong with each setting; values of secret ones aren't repeated."""
    places = _Places(model, options, environment, file)
    for found in error.errors(include_url=False):
        yield _line(found, places)


class _Places:
    """Where a setting was given."""

    def __init__(
        self,
        model: type[BaseModel],
        options: Mapping[str, object],
        environment: Mapping[str, str],
        file: str,
    ) -> None:
        """Take the sources, strongest first."""
        self.model = model
        self._options = options
        self._variables = variables(environment)
        self._file = file

    def name(self, path: Path) -> str:
        """Return the setting's name where it was given."""
        if path[0] in self._options:
            return "--" + path[0].replace("_", "-")
        for end in range(len(path), 0, -1):
            name = variable(".".join(path[:end]))
            if name in self._variables:
                inner = ".".join(path[end:])
                return f"{name} ({inner})" if inner else name
        return f"{'.'.join(path)} in {self._file}" if self._file else ".".join(path)

    def is_secret(self, path: Path) -> bool:
        """Return whether a setting, or one of a section, may hold a password."""
        annotation: object = self.model
        for name in path:
            field = getattr(annotation, "model_fields", {}).get(name)
            if field is None:
                return len(path) > 1
            if not field.repr:
                return True
            annotation = field.annotation
        return _holds_secrets(annotation)

    def known(self) -> list[str]:
        """Return all names, as in the file."""
        return [".".join(path) for path in paths(self.model)]


def _holds_secrets(annotation: object) -> bool:
    """Return whether a value of a type may hold a password, however deep."""
    fields = getattr(annotation, "model_fields", {}).values()
    return any(
        not field.repr or _holds_secrets(field.annotation) for field in fields
    ) or any(map(_holds_secrets, get_args(annotation)))


def _line(found: ErrorDetails, places: _Places) -> str:
    cause = found.get("ctx", {}).get("error")
    path = _path(found, places.model)
    if not path:
        return str(cause or found["msg"])
    if found["type"] == "extra_forbidden":
        near = nearest(".".join(path), places.known())
        hint = f"; did you mean {near}?" if near else ""
        return f"{places.name(path)} isn't a setting{hint}"
    if cause is not None:
        return f"{places.name(path)}: {cause}"
    got = ""
    if not places.is_secret(path):
        shown = repr(found["input"])
        cut = f"{shown[:_SHOWN_MAX]}…" if len(shown) > _SHOWN_MAX else shown
        got = f", but got {cut}"
    return f"{places.name(path)}: Expected {_expected(found)}{got}"


def _path(found: ErrorDetails, model: type[BaseModel]) -> Path:
    """Return the setting, without the places inside of its value."""
    given = tuple(str(part) for part in found["loc"] if isinstance(part, str))
    known = set(paths(model))
    end = 1
    while end < len(given) and given[:end] in known and _is_section(model, given[:end]):
        end += 1
    return given[:end]


def _is_section(model: type[BaseModel], path: Path) -> bool:
    annotation: object = model
    for name in path:
        annotation = getattr(annotation, "model_fields", {})[name].annotation
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _expected(found: ErrorDetails) -> str:
    text = _EXPECTED.get(found["type"])
    if text:
        return text
    said = found["msg"].partition(", unable to")[0]
    said = said.removeprefix("Input should be ").replace("String should", "text to")
    return f"a number {said}" if said.startswith(("less", "greater")) else said
