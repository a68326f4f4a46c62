"""JSON schemas of dataclasses: whose values can be read as whose (ref §3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format

_NOTHING: Mapping[str, Any] = {}
_ALTERNATIVES = ("allOf", "anyOf", "oneOf")


def is_compatible(upstream: Any, downstream: Any) -> bool:
    """Tell whether values of one schema (a protobuf Struct) can be read as another's.

    Equal schemas can; otherwise upstream must have every field that downstream has.
    """
    if upstream == downstream:
        return True
    offered = json_format.MessageToDict(upstream)
    asked = json_format.MessageToDict(downstream)
    return _Comparison(offered, asked).fits(offered, asked)


def field_names(schema: Any, path: Iterable[str]) -> frozenset[str] | None:
    """Return the fields that a schema declares at a path, None if it doesn't say."""
    root = json_format.MessageToDict(schema)
    here = _resolved(root, root)
    for name in path:
        here = _resolved(root, here.get("properties", _NOTHING).get(name, _NOTHING))
    properties = here.get("properties")
    return frozenset(properties) if isinstance(properties, dict) else None


def _resolved(root: Mapping[str, Any], schema: Any) -> Mapping[str, Any]:
    """Follow references such as #/$defs/Name; what can't be found is {}."""
    seen: set[str] = set()
    while isinstance(schema, dict) and "$ref" in schema:
        reference = str(schema["$ref"])
        if reference in seen or not reference.startswith("#/"):
            return _NOTHING
        seen.add(reference)
        schema = root
        for key in reference[2:].split("/"):
            schema = schema.get(key, _NOTHING) if isinstance(schema, dict) else _NOTHING
    return schema if isinstance(schema, dict) else _NOTHING


@dataclass(frozen=True, slots=True)
class _Comparison:
    offered_root: Mapping[str, Any]
    asked_root: Mapping[str, Any]
    pairs: set[tuple[int, int]] = field(default_factory=set)

    def fits(self, offered_ref: Any, asked_ref: Any) -> bool:
        offered = _resolved(self.offered_root, offered_ref)
        asked = _resolved(self.asked_root, asked_ref)
        pair = (id(offered), id(asked))
        if pair in self.pairs:  # A class that holds itself: decided further up.
            return True
        self.pairs.add(pair)
        return (
            _types(offered) == _types(asked)
            and _same_text(offered, asked)
            and self._items_fit(offered, asked)
            and self._fields_fit(offered, asked)
            and all(self._alternatives_fit(offered, asked, k) for k in _ALTERNATIVES)
        )

    def _fields_fit(self, offered: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
        if not set(asked.get("required", ())) <= set(offered.get("required", ())):
            return False
        has = offered.get("properties", _NOTHING)
        return all(
            name in has and self.fits(has[name], schema)
            for name, schema in asked.get("properties", _NOTHING).items()
        )

    def _items_fit(self, offered: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
        if "items" not in asked:
            return True
        has, needs = offered.get("items"), asked["items"]
        if isinstance(has, list) and isinstance(needs, list):
            pairs = zip(has, needs, strict=False)
            return len(has) == len(needs) and all(self.fits(h, n) for h, n in pairs)
        return (
            isinstance(has, dict) and isinstance(needs, dict) and self.fits(has, needs)
        )

    def _alternatives_fit(
        self, offered: Mapping[str, Any], asked: Mapping[str, Any], key: str
    ) -> bool:
        has, needs = offered.get(key) or (), asked.get(key) or ()
        if not has or not needs:
            return not has and not needs
        return all(any(self._probe(h, n) for n in needs) for h in has)

    def _probe(self, offered: Any, asked: Any) -> bool:
        # What a failed trial took for granted must not count in the next one.
        trial = _Comparison(self.offered_root, self.asked_root, set(self.pairs))
        return trial.fits(offered, asked)


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    kinds = schema.get("type", ())
    if isinstance(kinds, str):
        return frozenset((kinds,))
    untyped_object = not kinds and "properties" in schema
    return frozenset(("object",)) if untyped_object else frozenset(kinds)


def _same_text(offered: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Compare what narrows a value itself: formats, patterns, enums and constants."""
    if "string" in _types(asked):
        if offered.get("format") != asked.get("format"):
            return False
        if "pattern" in asked and offered.get("pattern") != asked["pattern"]:
            return False
    if "enum" in asked:
        values = offered.get("enum")
        if values is None or any(value not in asked["enum"] for value in values):
            return False
    return "const" not in asked or offered.get("const") == asked["const"]
