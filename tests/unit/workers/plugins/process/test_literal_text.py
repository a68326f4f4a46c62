"""Literals as text in commands, as Flyte writes them (ref §6.4)."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import literals_pb2

from domain.literals.literal_types import none_literal
from schemas.messages.rejections import Reason, Rejected
from tests.support.literals import listed, mapped, number, packed, primitive, text
from workers.plugins.process.literal_text import literal_text


def _scalar(**fields: Any) -> Any:
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(**fields))


def _duration(seconds: int, nanos: int = 0) -> Any:
    return primitive(duration={"seconds": seconds, "nanos": nanos})


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        (number(-3), "-3"),
        (text("a b"), "a b"),
        (primitive(boolean=True), "true"),
        (primitive(boolean=False), "false"),
        (primitive(float_value=2.0), "2"),
        (primitive(float_value=0.25), "0.25"),
        (primitive(datetime={"seconds": 0}), "1970-01-01T00:00:00Z"),
        (listed(number(1), listed(text("x"))), "[1,[x]]"),
        (listed(), "[]"),
        (none_literal(), ""),
        (_scalar(union={"value": number(5)}), "5"),
        (_scalar(blob={"uri": "s3://b/file"}), "s3://b/file"),
        (_scalar(schema={"uri": "s3://b/table"}), "s3://b/table"),
        (_scalar(structured_dataset={"uri": "s3://b/data"}), "s3://b/data"),
        (_scalar(generic={"a": True}), '{"a": true}'),
    ],
)
def test_a_literal_has_a_text(literal: Any, expected: str) -> None:
    """Values as people write them, files by their address, lists in brackets."""
    assert literal_text(literal) == expected


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        (_duration(0), "0s"),
        (_duration(0, 500_000_000), "0.5s"),
        (_duration(61), "1m1s"),
        (_duration(3600), "1h0m0s"),
        (_duration(3723, 40), "1h2m3.00000004s"),
        (_duration(-90), "-1m30s"),
    ],
)
def test_a_duration_is_written_as_in_go(literal: Any, expected: str) -> None:
    """Programs that parse it read hours, minutes and seconds."""
    assert literal_text(literal) == expected


@pytest.mark.parametrize(
    ("literal", "kind"),
    [
        (mapped(a=number(1)), "map"),
        (listed(number(1), mapped()), "map"),
        (packed({"a": 1}), "binary"),
        (literals_pb2.Literal(), "nothing"),
        (_scalar(), "nothing"),
    ],
)
def test_what_has_no_text_is_refused(literal: Any, kind: str) -> None:
    """A command can't be given it, at any depth of a list."""
    found = literal_text(literal)

    assert isinstance(found, Rejected)
    assert found.reason is Reason.INVALID_ARGUMENT
    assert found.detail.endswith(f"but it is a {kind}")
