"""What a catalog may answer to a look-up."""

from __future__ import annotations

from schemas.ids import AttemptRef, CatalogKey, EntityRef, ExecutionRef
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import Failure, Values
from tests.support.graphs import values

KEY = CatalogKey(project="p", domain="d", name="flyte_task-t", version="1", tag="x")
SOURCE = AttemptRef(
    execution=ExecutionRef(project="p", domain="d", name="earlier"),
    node_id="n0",
    attempt=0,
    task=EntityRef(kind="TASK", project="p", domain="d", name="t", version="v"),
)


def hit(look_up: d.LookUpCache, o0: int = 1) -> c.ReportCacheLookedUp:
    """Return the answer that outputs are kept."""
    return c.ReportCacheLookedUp(
        node_id=look_up.node_id,
        attempt=0,
        status="HIT",
        key=KEY,
        outputs=Values(inline=values(o0=o0)),
        source=SOURCE,
    )


def miss(
    look_up: d.LookUpCache, reservation: str = "DISABLED", status: str = "MISS"
) -> c.ReportCacheLookedUp:
    """Return the answer that nothing is kept."""
    return c.ReportCacheLookedUp(
        node_id=look_up.node_id,
        attempt=0,
        status=status,
        key=KEY,
        reservation=reservation,
    )


def cache_answers(look_up: d.LookUpCache) -> list[c.ExecutionCommand]:
    """Return every answer there may be."""
    return [
        hit(look_up),
        miss(look_up),
        miss(look_up, "EXISTS"),
        miss(look_up, "ACQUIRED"),
        miss(look_up, status="SKIPPED"),
        c.ReportResolutionFailed(
            node_id=look_up.node_id, attempt=0, failure=Failure(code="X", message="y")
        ),
    ]
