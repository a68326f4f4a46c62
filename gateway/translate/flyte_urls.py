"""flyte:// URLs: names of inputs, outputs and decks, made and read; pure (ref §12)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from flyteidl.admin import common_pb2

from schemas.ids import ExecutionRef
from schemas.messages.rejections import Reason, Rejected

INPUTS, OUTPUTS, DECK = "i", "o", "d"
_URL = re.compile(
    r"flyte://v1/(?P<project>[^/]+)/(?P<domain>[^/]+)/(?P<name>[^/]+)"
    r"/(?P<node>[^/]+)(/(?P<attempt>\d{1,9}))?/(?P<kind>[iod])(/(?P<variable>.+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlyteUrl:
    """What a URL names: `attempt` None is the node, `variable` '' all of them."""

    execution: ExecutionRef
    node: str
    attempt: int | None
    kind: str
    variable: str


def parse(url: str) -> FlyteUrl | Rejected:
    """Return what a URL names."""
    match = _URL.fullmatch(url)
    if match is None:
        return _refused("is none", url)
    attempt, kind, variable = match["attempt"], match["kind"], match["variable"]
    if kind == DECK and (attempt is not None or variable is not None):
        return _refused("names a deck of something else than a node", url)
    return FlyteUrl(
        execution=ExecutionRef(
            project=match["project"], domain=match["domain"], name=match["name"]
        ),
        node=match["node"],
        attempt=int(attempt) if attempt is not None else None,
        kind=kind,
        variable=variable or "",
    )


def _refused(found: str, url: str) -> Rejected:
    wanted = (
        "flyte://v1/<project>/<domain>/<execution>/<node>[/<attempt>]/<i|o|d>[/<name>]"
    )
    return Rejected(
        Reason.INVALID_ARGUMENT, f"Expected {wanted}, but '{url[:300]}' {found}"
    )


def of_node(ref: ExecutionRef, node: str, *, has_deck: bool) -> Any:
    """Return an admin.FlyteURLs for a node execution."""
    base = f"flyte://v1/{ref.text()}/{node}"
    deck = f"{base}/{DECK}" if has_deck else ""
    return common_pb2.FlyteURLs(
        inputs=f"{base}/{INPUTS}", outputs=f"{base}/{OUTPUTS}", deck=deck
    )


def of_attempt(ref: ExecutionRef, node: str, attempt: int) -> Any:
    """Return an admin.FlyteURLs for a task execution."""
    base = f"flyte://v1/{ref.text()}/{node}/{attempt}"
    return common_pb2.FlyteURLs(inputs=f"{base}/{INPUTS}", outputs=f"{base}/{OUTPUTS}")
