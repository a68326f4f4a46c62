"""Literals and types, briefly."""

from __future__ import annotations

from typing import Any

import msgspec
from flyteidl.core import literals_pb2, types_pb2

INT = types_pb2.LiteralType(simple=types_pb2.INTEGER)
TEXT = types_pb2.LiteralType(simple=types_pb2.STRING)
MOMENT = types_pb2.LiteralType(simple=types_pb2.DATETIME)


def primitive(**field: Any) -> Any:
    """Return the literal of one primitive field."""
    value = literals_pb2.Primitive(**field)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=value))


def number(value: int) -> Any:
    """Return an integer."""
    return primitive(integer=value)


def text(value: str) -> Any:
    """Return a string."""
    return primitive(string_value=value)


def listed(*items: Any) -> Any:
    """Return a collection."""
    collection = literals_pb2.LiteralCollection(literals=items)
    return literals_pb2.Literal(collection=collection)


def mapped(**items: Any) -> Any:
    """Return a map."""
    return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=items))


def packed(value: Any, tag: str = "msgpack") -> Any:
    """Return what flytekit makes of a dataclass."""
    binary = literals_pb2.Binary(value=msgspec.msgpack.encode(value), tag=tag)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(binary=binary))


def literals(**items: Any) -> Any:
    """Return a core.LiteralMap."""
    return literals_pb2.LiteralMap(literals=items)
