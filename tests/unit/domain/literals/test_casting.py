"""What casts to what, what type a literal has, and where a literal may be given."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from typing import Any

import pytest
from flyteidl.core import literals_pb2, types_pb2
from flytekit.core.type_engine import TypeEngine
from hypothesis import given
from hypothesis import strategies as st

from domain.literals.casting import castable, literal_matches
from domain.literals.literal_types import describe, literal_type

Type = types_pb2.LiteralType
COLUMN = types_pb2.SchemaType.SchemaColumn
SIMPLE = list(types_pb2.SimpleType.values())


def simple(kind: int, tag: str = "") -> Any:
    """Return a simple type, with the tag of a variant if one is given."""
    structure = types_pb2.TypeStructure(tag=tag) if tag else None
    return Type(simple=kind, structure=structure)


def list_of(item: Any) -> Any:
    """Return the type of a list."""
    return Type(collection_type=item)


def map_of(value: Any) -> Any:
    """Return the type of a map."""
    return Type(map_value_type=value)


def union(*variants: Any) -> Any:
    """Return a union."""
    return Type(union_type=types_pb2.UnionType(variants=variants))


def enum(*values: str) -> Any:
    """Return the type of an enum."""
    return Type(enum_type=types_pb2.EnumType(values=values))


def blob(kind: str) -> Any:
    """Return the type of a file of a format."""
    return Type(blob=types_pb2.BlobType(format=kind))


def schema(**columns: int) -> Any:
    """Return the type of a schema."""
    made = [COLUMN(name=name, type=kind) for name, kind in columns.items()]
    return Type(schema=types_pb2.SchemaType(columns=made))


def dataset(kind: str = "", **columns: Any) -> Any:
    """Return the type of a structured dataset of a format."""
    column = types_pb2.StructuredDatasetType.DatasetColumn
    made = [column(name=name, literal_type=inner) for name, inner in columns.items()]
    inner = types_pb2.StructuredDatasetType(columns=made, format=kind)
    return Type(structured_dataset_type=inner)


INT, FLOAT = simple(types_pb2.INTEGER), simple(types_pb2.FLOAT)
STRING, STRUCT = simple(types_pb2.STRING), simple(types_pb2.STRUCT)
NONE = simple(types_pb2.NONE)

names = st.sampled_from(["a", "b", "c"])
leaves = st.one_of(
    st.sampled_from([simple(kind) for kind in SIMPLE]),
    st.lists(names, min_size=1, max_size=3, unique=True).map(lambda v: enum(*v)),
    st.sampled_from(["", "csv", "pdf"]).map(blob),
    st.dictionaries(names, st.sampled_from(list(COLUMN.SchemaColumnType.values()))).map(
        lambda columns: schema(**columns)
    ),
)
unambiguous = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(list_of),
        inner.map(map_of),
        st.builds(
            lambda kind, columns: dataset(kind, **columns),
            st.sampled_from(["", "parquet", "csv"]),
            st.dictionaries(names, inner, max_size=2),
        ),
    ),
    max_leaves=6,
)
types = st.recursive(
    unambiguous,
    lambda inner: st.one_of(
        inner.map(list_of),
        st.lists(inner, min_size=1, max_size=3).map(lambda v: union(*v)),
    ),
    max_leaves=6,
)


@given(types)
def test_every_type_casts_to_itself(kind: Any) -> None:
    """A type casts to itself."""
    assert castable(kind, kind)


@given(unambiguous)
def test_a_type_casts_to_its_optional(kind: Any) -> None:
    """T casts to T | None, unless T itself accepts None."""
    assert castable(kind, union(kind, NONE)) == (not castable(kind, NONE))


@given(unambiguous, unambiguous)
def test_lists_cast_as_their_items_do(upstream: Any, downstream: Any) -> None:
    """Collections and maps recurse; those of an empty literal cast to any."""
    expected = castable(upstream, downstream) or upstream == NONE

    assert castable(list_of(upstream), list_of(downstream)) == expected
    assert castable(map_of(upstream), map_of(downstream)) == expected
    assert not castable(map_of(upstream), list_of(downstream))


CASTS = [
    (INT, FLOAT, False),
    (INT, NONE, False),
    (union(INT), INT, True),
    (union(INT, STRING), INT, False),
    (union(INT, STRING), union(STRING, FLOAT, INT), True),
    (union(INT, STRING), union(INT, FLOAT), False),
    (INT, union(INT, STRING), True),
    (enum("a"), union(enum("a"), STRING), False),
    (simple(types_pb2.INTEGER, "int"), simple(types_pb2.INTEGER, "int"), True),
    (simple(types_pb2.INTEGER, "int"), simple(types_pb2.INTEGER, "other"), False),
    (simple(types_pb2.INTEGER, "int"), INT, False),
    (INT, simple(types_pb2.INTEGER, "int"), True),
    (enum("a", "b"), STRING, True),
    (STRING, enum("a", "b"), True),
    (enum("a", "b"), enum("a", "b"), True),
    (enum("a", "b"), enum("b", "a"), False),
    (enum("a"), INT, False),
    (list_of(NONE), list_of(list_of(INT)), True),
    (map_of(NONE), map_of(blob("csv")), True),
    (list_of(INT), list_of(FLOAT), False),
    (blob("csv"), blob(""), True),
    (blob(""), blob("csv"), True),
    (blob("csv"), blob("pdf"), False),
    (NONE, blob(""), False),
    (schema(a=COLUMN.INTEGER, b=COLUMN.FLOAT), schema(a=COLUMN.INTEGER), True),
    (schema(a=COLUMN.INTEGER), schema(a=COLUMN.INTEGER, b=COLUMN.FLOAT), False),
    (schema(a=COLUMN.INTEGER), schema(a=COLUMN.FLOAT), False),
    (schema(), schema(a=COLUMN.FLOAT), True),
    (schema(a=COLUMN.INTEGER), dataset(a=INT), True),
    (schema(a=COLUMN.INTEGER), dataset(a=FLOAT), False),
    (schema(), dataset("csv"), False),
    (dataset("Parquet", a=INT), schema(a=COLUMN.INTEGER), True),
    (dataset("csv"), schema(), False),
    (dataset("csv"), dataset("CSV"), True),
    (dataset("csv"), dataset("parquet"), False),
    (dataset(a=list_of(INT)), dataset(a=list_of(INT), b=INT), False),
    (NONE, dataset(), True),
    (NONE, schema(), False),
    (STRUCT, STRUCT, True),
    (STRUCT, map_of(INT), False),
]


@pytest.mark.parametrize(("upstream", "downstream", "expected"), CASTS)
def test_casts(upstream: Any, downstream: Any, expected: bool) -> None:
    """Each row of the table holds."""
    assert castable(upstream, downstream) is expected


@dataclass
class Small:
    """A dataclass with one field."""

    a: int


@dataclass
class Big(Small):
    """A dataclass with one field more."""

    b: str | None = None


@dataclass
class Holder:
    """A dataclass in a dataclass."""

    inner: Small
    many: list[Small] = field(default_factory=list)


@dataclass
class BigHolder:
    """A larger dataclass in a dataclass."""

    inner: Big
    many: list[Big] = field(default_factory=list)


Other = make_dataclass("Small", [("a", str)])
DATACLASSES = [
    (Small, Small, True),
    (Big, Small, True),
    (Small, Big, False),
    (Holder, Holder, True),
    (BigHolder, Holder, True),
    (Holder, BigHolder, False),
    (Other, Small, False),
    (Small, Holder, False),
]


@pytest.mark.parametrize(("upstream", "downstream", "expected"), DATACLASSES)
def test_dataclasses_cast_by_their_fields(
    upstream: type,
    downstream: type,
    expected: bool,
) -> None:
    """Upstream must have every field of downstream, at every depth."""
    given, asked = (
        TypeEngine.to_literal_type(kind).to_flyte_idl()
        for kind in (upstream, downstream)
    )

    assert castable(given, asked) is expected
    asked.ClearField("metadata")
    assert castable(given, asked)


def test_a_schema_of_another_shape_declares_no_fields() -> None:
    """Properties that aren't an object are as good as none."""
    listed, named = simple(types_pb2.STRUCT), types_pb2.LiteralType()
    listed.metadata.update({"type": "object", "properties": ["a"]})
    named.CopyFrom(listed)
    named.metadata.update({"properties": {"a": {"type": "string"}}})

    assert castable(named, listed)
    assert not castable(listed, named)


def literal(value: Any) -> Any:
    """Return a plain literal, without unions."""
    if isinstance(value, list):
        items = literals_pb2.LiteralCollection(literals=map(literal, value))
        return literals_pb2.Literal(collection=items)
    if isinstance(value, dict):
        made = {key: literal(item) for key, item in value.items()}
        return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=made))
    if value is None:
        scalar = literals_pb2.Scalar(none_type=literals_pb2.Void())
        return literals_pb2.Literal(scalar=scalar)
    key = {int: "integer", float: "float_value", str: "string_value", bool: "boolean"}
    primitive = literals_pb2.Primitive(**{key[type(value)]: value})
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive))


def variant(value: Any, kind: Any) -> Any:
    """Return a literal that says which variant of a union it is."""
    made = literals_pb2.Union(value=literal(value), type=kind)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(union=made))


def binary(tag: str) -> Any:
    """Return bytes with a tag."""
    scalar = literals_pb2.Scalar(binary=literals_pb2.Binary(value=b"\x80", tag=tag))
    return literals_pb2.Literal(scalar=scalar)


def test_types_of_literals() -> None:
    """Mixed lists are lists of unions in a fixed order, empty ones lists of NONE."""
    mixed = literal_type(literal([1, "a", 2])).collection_type.union_type.variants

    assert literal_type(literal([])) == list_of(NONE)
    assert literal_type(literal({"k": [1]})) == map_of(list_of(INT))
    assert literal_type(literal([[], [1]])) == list_of(list_of(INT))
    assert list(mixed) == list(
        literal_type(literal(["b", 3])).collection_type.union_type.variants
    )
    assert literal_type(binary("msgpack")) == STRUCT
    assert literal_type(binary("")) == simple(types_pb2.BINARY)
    assert literal_type(literal(None)) == NONE
    assert literal_type(variant(1, INT)) == union(INT)


def test_a_file_or_table_states_its_own_type() -> None:
    """Its format and columns are part of the value."""
    file, table, data = literals_pb2.Scalar(), literals_pb2.Scalar(), dataset("csv")
    file.blob.metadata.type.format = "csv"
    table.schema.type.CopyFrom(schema(a=0).schema)
    stated = literals_pb2.Scalar().structured_dataset.metadata
    stated.structured_dataset_type.CopyFrom(data.structured_dataset_type)
    frame = literals_pb2.Scalar()
    frame.structured_dataset.metadata.CopyFrom(stated)
    found = [
        literal_type(literals_pb2.Literal(scalar=scalar))
        for scalar in (file, table, frame)
    ]

    assert found == [blob("csv"), schema(a=0), data]


def test_a_literal_without_a_value_has_no_type() -> None:
    """Neither has a list that holds one."""
    empty = literals_pb2.Literal()
    items = literals_pb2.LiteralCollection(literals=[empty])

    assert literal_type(empty) is None
    assert literal_type(literals_pb2.Literal(collection=items)) is None
    assert not literal_matches(empty, INT)


def test_types_are_described_in_few_words() -> None:
    """Errors name a type as its users do; what has none is nothing."""
    texts = [
        describe(kind)
        for kind in (
            list_of(map_of(INT)),
            union(STRING, NONE),
            enum("a", "b"),
            blob("csv"),
            dataset(),
            Type(),
            None,
        )
    ]

    assert texts == [
        "list of map of integer",
        "string or none",
        "one of a, b",
        "blob",
        "structured dataset",
        "nothing",
        "nothing",
    ]


def test_an_offloaded_literal_has_its_inferred_type() -> None:
    """Offloaded values needn't be read to be checked."""
    metadata = literals_pb2.LiteralOffloadedMetadata(inferred_type=list_of(INT))
    offloaded = literals_pb2.Literal(offloaded_metadata=metadata, hash="h")

    assert literal_type(offloaded) == list_of(INT)
    assert literal_matches(offloaded, union(list_of(INT), NONE))
    assert not literal_matches(offloaded, list_of(STRING))


OPTIONAL = union(simple(types_pb2.INTEGER, "int"), simple(types_pb2.NONE, "none"))
MATCHES = [
    (literal(5), INT, True),
    (literal(5), FLOAT, False),
    (literal(True), INT, False),  # noqa: FBT003
    (literal(5), OPTIONAL, True),
    (literal(None), OPTIONAL, True),
    (literal("a"), OPTIONAL, False),
    (variant(5, simple(types_pb2.INTEGER, "int")), OPTIONAL, True),
    (variant(None, simple(types_pb2.NONE, "none")), OPTIONAL, True),
    (variant(5, Type()), OPTIONAL, True),
    (variant("a", STRING), OPTIONAL, False),
    (variant(5, INT), INT, True),
    (literal([1, None]), list_of(OPTIONAL), True),
    (literal([1, "a"]), list_of(OPTIONAL), False),
    (literal([1, "a"]), list_of(union(INT, STRING)), True),
    (literal([]), list_of(INT), True),
    (literal([]), union(list_of(INT), list_of(STRING)), False),
    (literal({}), map_of(INT), True),
    (literal({"k": 1}), map_of(STRING), False),
    (literal([]), map_of(INT), False),
    (literal("a"), enum("a", "b"), True),
    (literal("c"), enum("a", "b"), False),
    (literal(["a", "c"]), list_of(enum("a", "b")), False),
    (variant("c", enum("a")), union(enum("a"), NONE), False),
    (variant("a", enum("a")), union(enum("a"), NONE), True),
    (literal(None), dataset(), True),
    (literal(None), INT, False),
    (binary("msgpack"), STRUCT, True),
    (binary("other"), STRUCT, False),
    (literal({"x": 1}), STRUCT, False),
]


@pytest.mark.parametrize(("value", "expected", "matches"), MATCHES)
def test_literals_match(value: Any, expected: Any, matches: bool) -> None:
    """A literal is accepted where its type casts and, for enums, its value is one."""
    assert literal_matches(value, expected) is matches
