"""Schemas and structured datasets: which of them casts to which (ref §3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flyteidl.core import types_pb2

TABLES = frozenset({"schema", "structured_dataset_type"})
_PARQUET = "parquet"
_COLUMN = types_pb2.SchemaType.SchemaColumn
_SIMPLE = {
    _COLUMN.INTEGER: types_pb2.INTEGER,
    _COLUMN.FLOAT: types_pb2.FLOAT,
    _COLUMN.STRING: types_pb2.STRING,
    _COLUMN.BOOLEAN: types_pb2.BOOLEAN,
    _COLUMN.DATETIME: types_pb2.DATETIME,
    _COLUMN.DURATION: types_pb2.DURATION,
}


def castable_tables(
    upstream: types_pb2.LiteralType,
    downstream: types_pb2.LiteralType,
    castable: Callable[[types_pb2.LiteralType, types_pb2.LiteralType], bool],
) -> bool:
    """Return whether one table type may be used as another.

    Formats must agree where both have one (a schema is parquet), and every column that
    downstream names must be there; a table without columns casts to any. `castable`
    decides on the types of two columns.
    """
    given, asked = _format(upstream), _format(downstream)
    if given and asked and given != asked:
        return False
    has, needs = _columns(upstream), _columns(downstream)
    if not has or not needs:
        return True
    return all(
        name in has and castable(has[name], kind) for name, kind in needs.items()
    )


def _format(table: types_pb2.LiteralType) -> str:
    if table.HasField("schema"):
        return _PARQUET
    return table.structured_dataset_type.format.lower()


def _columns(table: types_pb2.LiteralType) -> Mapping[str, types_pb2.LiteralType]:
    if table.HasField("schema"):
        return {
            column.name: types_pb2.LiteralType(simple=_SIMPLE[column.type])
            for column in table.schema.columns
        }
    columns = table.structured_dataset_type.columns
    return {column.name: column.literal_type for column in columns}
