"""flyte:// URLs of inputs, outputs and decks: written and parsed; pure (ref §12)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from flyteidl.admin import common_pb2

from schemas.ids import ExecutionRef
from schemas.messages.rejections import Reason, Rejected

_FORMAT = (
    "flyte://v1/<project>/<domain>/<execution>/<node>[/<attempt>]/<i|o|d>[/<name>]"
)
_URL = re.compile(
    r"flyte://v1/(?P<project>[^/]+)/(?P<domain>[^/]+)/(?P<name>[^/]+)"
    r"/(?P<node>[^/]+)(/(?P<attempt>\d{1,9}))?/(?P<kind>[iod])(/(?P<variable>.+))?"
)


class ArtifactKind(StrEnum):
    """What a URL refers to, as written in it."""

    INPUTS = "i"
    OUTPUTS = "o"
    DECK = "d"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlyteUrl:
    """What a URL names.

    Without an `attempt` it is the node's; without a `variable` it is all of them.
    """

    execution: ExecutionRef
    node: str
    attempt: int | None
    kind: ArtifactKind
    variable: str | None


def parse(url: str) -> FlyteUrl | Rejected:
    """Return what a URL names."""
    match = _URL.fullmatch(url)
    if match is None:
        return _refused("is none", url)
    kind = ArtifactKind(match["kind"])
    attempt, variable = match["attempt"], match["variable"]
    if kind is ArtifactKind.DECK and (attempt is not None or variable is not None):
        return _refused("names a deck of something else than a node", url)
    return FlyteUrl(
        execution=ExecutionRef(
            project=match["project"], domain=match["domain"], name=match["name"]
        ),
        node=match["node"],
        attempt=int(attempt) if attempt is not None else None,
        kind=kind,
        variable=variable,
    )


def _refused(found: str, url: str) -> Rejected:
    return Rejected(
        Reason.INVALID_ARGUMENT, f"Expected {_FORMAT}, but '{url[:300]}' {found}"
    )


def of_node(ref: ExecutionRef, node: str, *, has_deck: bool) -> common_pb2.FlyteURLs:
    """Return the URLs of a node execution."""
    base = f"flyte://v1/{ref.text()}/{node}"
    urls = _inputs_and_outputs(base)
    if has_deck:
        urls.deck = f"{base}/{ArtifactKind.DECK}"
    return urls


def of_attempt(ref: ExecutionRef, node: str, attempt: int) -> common_pb2.FlyteURLs:
    """Return the URLs of a task execution."""
    return _inputs_and_outputs(f"flyte://v1/{ref.text()}/{node}/{attempt}")


def _inputs_and_outputs(base: str) -> common_pb2.FlyteURLs:
    return common_pb2.FlyteURLs(
        inputs=f"{base}/{ArtifactKind.INPUTS}", outputs=f"{base}/{ArtifactKind.OUTPUTS}"
    )
