"""flyte:// URLs: what is made can be read, and nothing else can."""

from __future__ import annotations

import pytest

from gateway.translate import flyte_urls
from gateway.translate.flyte_urls import FlyteUrl
from schemas.ids import ExecutionRef
from schemas.messages.rejections import Rejected

REF = ExecutionRef(project="p", domain="d", name="run")


def test_a_nodes_urls_are_read_back() -> None:
    """Inputs, outputs and deck of a node."""
    urls = flyte_urls.of_node(REF, "n0", has_deck=True)
    for url, kind in ((urls.inputs, "i"), (urls.outputs, "o"), (urls.deck, "d")):
        expected = FlyteUrl(
            execution=REF, node="n0", attempt=None, kind=kind, variable=None
        )
        assert expected == flyte_urls.parse(url)


def test_an_attempts_urls_are_read_back() -> None:
    """Inputs and outputs of an attempt, or one variable of them."""
    urls = flyte_urls.of_attempt(REF, "n0", 2)
    expected = FlyteUrl(execution=REF, node="n0", attempt=2, kind="o", variable="o0")
    assert expected == flyte_urls.parse(f"{urls.outputs}/o0")
    assert "" == urls.deck


def test_no_deck_no_url() -> None:
    """A node without a deck has no URL for one."""
    assert "" == flyte_urls.of_node(REF, "n0", has_deck=False).deck


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3://bucket/x",
        "flyte://v2/p/d/run/n0/i",
        "flyte://v1/p/d/run/n0",
        "flyte://v1/p/d/run/n0/x",
        "flyte://v1/p/d/run/n0/-1/i",
        "flyte://v1/p/d/run/n0/0/d",
        "flyte://v1/p/d/run/n0/d/o0",
        "flyte://v1/p//run/n0/i",
        "flyte://v1/p/d/run/n0/99999999999/i",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    """What names nothing is refused with the expected format."""
    found = flyte_urls.parse(url)
    assert isinstance(found, Rejected)
    assert found.detail.startswith("Expected flyte://v1/")
