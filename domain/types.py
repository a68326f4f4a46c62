"""Type rules: what casts to what, and what a literal's type is (ref §3.3)."""

from __future__ import annotations

from typing import Any

from flyteidl.core import literals_pb2, types_pb2

NONE = types_pb2.LiteralType(simple=types_pb2.NONE)
STRUCT = types_pb2.LiteralType(simple=types_pb2.STRUCT)
_PARQUET = "parquet"
_PRIMITIVES = {
    "integer": types_pb2.INTEGER,
    "float_value": types_pb2.FLOAT,
    "string_value": types_pb2.STRING,
    "boolean": types_pb2.BOOLEAN,
    "datetime": types_pb2.DATETIME,
    "duration": types_pb2.DURATION,
}


def castable(upstream: Any, downstream: Any) -> bool:
    """Tell whether a value of one core.LiteralType may stand where another is asked."""
    up, down = upstream.WhichOneof("type"), downstream.WhichOneof("type")
    if up == "union_type" and len(upstream.union_type.variants) == 1:
        return castable(upstream.union_type.variants[0], downstream)
    if up == "union_type" and down == "union_type":
        wanted = downstream.union_type.variants
        return all(
            any(castable(v, w) for w in wanted) for v in upstream.union_type.variants
        )
    if down == "union_type":
        return sum(castable(upstream, v) for v in downstream.union_type.variants) == 1
    if up == "enum_type" or down == "enum_type":
        return _enum(upstream, downstream)
    if {up, down} <= {"schema", "structured_dataset_type"}:
        return _columns(upstream, downstream)
    if down == "structured_dataset_type" and _is_none(upstream):
        return True
    if up != down or up is None:
        return False
    return _same_kind(upstream, downstream, up)


def _same_kind(upstream: Any, downstream: Any, kind: str) -> bool:
    if kind == "simple":
        return _simple(upstream, downstream)
    if kind == "collection_type":
        return _inner(upstream.collection_type, downstream.collection_type)
    if kind == "map_value_type":
        return _inner(upstream.map_value_type, downstream.map_value_type)
    if kind == "blob":
        given, asked = upstream.blob.format, downstream.blob.format
        return given == asked or not given or not asked
    return False


def _is_none(literal_type: Any) -> bool:
    return (
        literal_type.WhichOneof("type") == "simple"
        and literal_type.simple == types_pb2.NONE
    )


def _inner(upstream: Any, downstream: Any) -> bool:
    return _is_none(upstream) or castable(upstream, downstream)


def _simple(upstream: Any, downstream: Any) -> bool:
    if upstream.simple != downstream.simple:
        return False
    tag = upstream.structure.tag
    if tag and downstream.structure.tag and tag != downstream.structure.tag:
        return False
    if upstream.simple != types_pb2.STRUCT:
        return True
    if not upstream.HasField("metadata") or not downstream.HasField("metadata"):
        return True
    return upstream.metadata == downstream.metadata or _fits_schema(
        upstream.metadata, downstream.metadata
    )


def _fits_schema(upstream: Any, downstream: Any) -> bool:
    """Tell whether JSON schemas agree: every property asked for is offered."""
    asked, offered = _properties(downstream), _properties(upstream)
    if asked is None or offered is None:
        return True
    return all(name in offered for name in asked)


def _properties(schema: Any) -> set[str] | None:
    for definitions in ("$defs", "definitions"):
        if definitions in schema and "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[-1]
            inner = schema[definitions].fields.get(name)
            if inner is not None:
                return _properties(inner.struct_value)
    if "properties" not in schema:
        return None
    return set(schema["properties"].fields)


def _enum(upstream: Any, downstream: Any) -> bool:
    kinds = (upstream.WhichOneof("type"), downstream.WhichOneof("type"))
    if kinds == ("enum_type", "enum_type"):
        return bool(upstream.enum_type == downstream.enum_type)
    other = downstream if kinds[0] == "enum_type" else upstream
    return other.WhichOneof("type") == "simple" and other.simple == types_pb2.STRING


def _columns(upstream: Any, downstream: Any) -> bool:
    asked = _column_types(downstream)
    offered = _column_types(upstream)
    formats = [_format(upstream), _format(downstream)]
    if all(formats) and formats[0] != formats[1]:
        return False
    if not asked or not offered:
        return True
    return all(
        name in offered and _column_fits(offered[name], wanted)
        for name, wanted in asked.items()
    )


def _format(dataset: Any) -> str:
    if dataset.WhichOneof("type") == "schema":
        return _PARQUET
    return str(dataset.structured_dataset_type.format)


def _column_types(dataset: Any) -> dict[str, Any]:
    if dataset.WhichOneof("type") == "schema":
        return {c.name: c.type for c in dataset.schema.columns}
    columns = dataset.structured_dataset_type.columns
    return {c.name: c.literal_type for c in columns}


def _column_fits(offered: Any, wanted: Any) -> bool:
    if isinstance(offered, int) or isinstance(wanted, int):
        return bool(offered == wanted) if type(offered) is type(wanted) else True
    return castable(offered, wanted)


def literal_type(literal: Any) -> Any | None:
    """Return the core.LiteralType of a literal; None for one without a value."""
    kind = literal.WhichOneof("value")
    if kind == "scalar":
        return _scalar_type(literal.scalar)
    if kind == "collection":
        inner = _common_type(literal.collection.literals)
        return types_pb2.LiteralType(collection_type=inner)
    if kind == "map":
        inner = _common_type(literal.map.literals.values())
        return types_pb2.LiteralType(map_value_type=inner)
    if kind == "offloaded_metadata":
        return literal.offloaded_metadata.inferred_type
    return None


def _common_type(literals: Any) -> Any:
    found: dict[bytes, Any] = {}
    for literal in literals:
        inner = literal_type(literal)
        if inner is not None:
            found[inner.SerializeToString(deterministic=True)] = inner
    if not found:
        return NONE
    variants = [found[key] for key in sorted(found)]
    if len(variants) == 1:
        return variants[0]
    return types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=variants))


def _scalar_type(scalar: Any) -> Any | None:
    kind = scalar.WhichOneof("value")
    if kind == "primitive":
        simple = _PRIMITIVES.get(scalar.primitive.WhichOneof("value") or "")
        return None if simple is None else types_pb2.LiteralType(simple=simple)
    if kind == "blob":
        return types_pb2.LiteralType(blob=scalar.blob.metadata.type)
    if kind == "binary":
        is_struct = scalar.binary.tag == "msgpack"
        return STRUCT if is_struct else types_pb2.LiteralType(simple=types_pb2.BINARY)
    if kind == "schema":
        return types_pb2.LiteralType(schema=scalar.schema.type)
    if kind == "structured_dataset":
        dataset = scalar.structured_dataset.metadata.structured_dataset_type
        return types_pb2.LiteralType(structured_dataset_type=dataset)
    if kind == "union":
        return scalar.union.type
    if kind == "generic":
        return STRUCT
    if kind == "error":
        return types_pb2.LiteralType(simple=types_pb2.ERROR)
    return NONE if kind == "none_type" else None


def accepts(literal: Any, asked: Any) -> bool:
    """Tell whether a literal may stand where a type is asked, values of enums too."""
    kind = asked.WhichOneof("type")
    if kind == "enum_type":
        text = literal.scalar.primitive.string_value
        return text in asked.enum_type.values
    if kind == "union_type":
        if literal.scalar.WhichOneof("value") == "union":
            literal = literal.scalar.union.value
        return any(accepts(literal, v) for v in asked.union_type.variants)
    if kind == "collection_type" and literal.WhichOneof("value") == "collection":
        items = literal.collection.literals
        return all(accepts(item, asked.collection_type) for item in items)
    if kind == "map_value_type" and literal.WhichOneof("value") == "map":
        items = literal.map.literals.values()
        return all(accepts(item, asked.map_value_type) for item in items)
    given = literal_type(literal)
    return given is not None and castable(given, asked)


def describe(asked: Any) -> str:
    """Return a type in a few words, for messages."""
    kind = asked.WhichOneof("type")
    if kind == "simple":
        return str(types_pb2.SimpleType.Name(asked.simple)).lower()
    if kind == "collection_type":
        return f"list of {describe(asked.collection_type)}"
    if kind == "map_value_type":
        return f"map of {describe(asked.map_value_type)}"
    if kind == "union_type":
        return " or ".join(describe(v) for v in asked.union_type.variants)
    if kind == "enum_type":
        return f"one of {', '.join(asked.enum_type.values)}"
    return str(kind or "nothing").removesuffix("_type").replace("_", " ")


def none_literal() -> Any:
    """Return the literal that says: nothing."""
    scalar = literals_pb2.Scalar(none_type=literals_pb2.Void())
    return literals_pb2.Literal(scalar=scalar)


def allows_none(asked: Any) -> bool:
    """Tell whether a type has a variant for nothing."""
    if asked.WhichOneof("type") == "union_type":
        return any(_is_none(v) for v in asked.union_type.variants)
    return _is_none(asked)
