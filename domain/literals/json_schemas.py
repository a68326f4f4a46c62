"""JSON schemas of dataclasses: whose values can be read as whose (ref §3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from google.protobuf import json_format, struct_pb2

from schemas.json_types import JsonValue

JsonObject: TypeAlias = Mapping[str, JsonValue]
_NOTHING: JsonObject = {}
_ALTERNATIVES = ("allOf", "anyOf", "oneOf")


def is_compatible(upstream: struct_pb2.Struct, downstream: struct_pb2.Struct) -> bool:
    """Return whether values of one schema can be read as another's.

    Equal schemas can; otherwise upstream must have every field that downstream has.
    """
    if upstream == downstream:
        return True
    roots = json_format.MessageToDict(upstream), json_format.MessageToDict(downstream)
    return _Comparison(*roots).fits(*roots)


def field_names(
    schema: struct_pb2.Struct, path: Iterable[str]
) -> frozenset[str] | None:
    """Return the fields that a schema declares at a path, None if it doesn't say."""
    root: JsonObject = json_format.MessageToDict(schema)
    here = _resolved(root, root)
    for name in path:
        here = _resolved(root, _object(here.get("properties")).get(name))
    properties = here.get("properties")
    return frozenset(properties) if isinstance(properties, dict) else None


def _object(value: JsonValue | JsonObject) -> JsonObject:
    return value if isinstance(value, dict) else _NOTHING


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _resolved(root: JsonObject, schema: JsonValue | JsonObject) -> JsonObject:
    """Follow references such as #/$defs/Name; what can't be found is {}."""
    seen: set[str] = set()
    here = _object(schema)
    while "$ref" in here:
        reference = str(here["$ref"])
        if reference in seen or not reference.startswith("#/"):
            return _NOTHING
        seen.add(reference)
        here = root
        for key in reference[2:].split("/"):
            here = _object(here.get(key))
    return here


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two schemas, and the pairs of their parts that were compared already."""

    upstream_root: JsonObject
    downstream_root: JsonObject
    pairs: set[tuple[int, int]] = field(default_factory=set)

    def fits(
        self,
        upstream_ref: JsonValue | JsonObject,
        downstream_ref: JsonValue | JsonObject,
    ) -> bool:
        """Return whether values of a part of one schema can be read as the other's."""
        upstream = _resolved(self.upstream_root, upstream_ref)
        downstream = _resolved(self.downstream_root, downstream_ref)
        pair = (id(upstream), id(downstream))
        if pair in self.pairs:  # A class that contains itself: decided by its caller.
            return True
        self.pairs.add(pair)
        return (
            _types(upstream) == _types(downstream)
            and _same_constraints(upstream, downstream)
            and self._items_fit(upstream, downstream)
            and self._fields_fit(upstream, downstream)
            and all(
                self._alternatives_fit(upstream, downstream, k) for k in _ALTERNATIVES
            )
        )

    def _fields_fit(self, upstream: JsonObject, downstream: JsonObject) -> bool:
        if not _texts(downstream.get("required")) <= _texts(upstream.get("required")):
            return False
        has, needs = _object(upstream.get("properties")), downstream.get("properties")
        return all(
            name in has and self.fits(has[name], schema)
            for name, schema in _object(needs).items()
        )

    def _items_fit(self, upstream: JsonObject, downstream: JsonObject) -> bool:
        if "items" not in downstream:
            return True
        has, needs = upstream.get("items"), downstream["items"]
        if isinstance(has, list) and isinstance(needs, list):
            pairs = zip(has, needs, strict=False)
            return len(has) == len(needs) and all(self.fits(h, n) for h, n in pairs)
        return (
            isinstance(has, dict) and isinstance(needs, dict) and self.fits(has, needs)
        )

    def _alternatives_fit(
        self, upstream: JsonObject, downstream: JsonObject, key: str
    ) -> bool:
        has, needs = _list(upstream.get(key)), _list(downstream.get(key))
        if not has or not needs:
            return not has and not needs
        return all(any(self._try(h, n) for n in needs) for h in has)

    def _try(self, upstream: JsonValue, downstream: JsonValue) -> bool:
        # Pairs that a failed comparison assumed to fit must not count in the next.
        trial = _Comparison(self.upstream_root, self.downstream_root, set(self.pairs))
        return trial.fits(upstream, downstream)


def _texts(value: JsonValue) -> frozenset[str]:
    return frozenset(item for item in _list(value) if isinstance(item, str))


def _types(schema: JsonObject) -> frozenset[str]:
    kinds = schema.get("type")
    found = frozenset((kinds,)) if isinstance(kinds, str) else _texts(kinds)
    untyped_object = not found and "properties" in schema
    return frozenset(("object",)) if untyped_object else found


def _same_constraints(upstream: JsonObject, downstream: JsonObject) -> bool:
    """Compare what restricts a value itself: formats, patterns, enums and constants."""
    if "string" in _types(downstream):
        if upstream.get("format") != downstream.get("format"):
            return False
        if "pattern" in downstream and upstream.get("pattern") != downstream["pattern"]:
            return False
    if "enum" in downstream:
        values, allowed = upstream.get("enum"), _list(downstream["enum"])
        if not isinstance(values, list) or any(v not in allowed for v in values):
            return False
    return "const" not in downstream or upstream.get("const") == downstream["const"]
