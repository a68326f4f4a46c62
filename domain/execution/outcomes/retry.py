"""Retry budgets as arithmetic: the user's attempts and the system's (ref §4.5)."""

from __future__ import annotations

from domain.execution.state.node import Node
from schemas.values import ErrorKind, Failure


def may_retry(
    node: Node, failure: Failure, attempts_max: int, system_retries: int
) -> bool:
    """Return whether a recoverable failure leaves the node another attempt."""
    current, allowed = _budget(node, failure, attempts_max, system_retries)
    return current < allowed


def exhausted(
    node: Node, failure: Failure, attempts_max: int, system_retries: int
) -> Failure:
    """Return the failure of a node whose budget is used up, worded as Flyte's."""
    current, allowed = _budget(node, failure, attempts_max, system_retries)
    return Failure(
        code=f"RetriesExhausted|{failure.code}",
        message=(
            f"[{current}/{allowed}] currentAttempt done. "
            f"Last Error: {failure.kind}::{failure.message}"
        ),
        kind=ErrorKind.USER,
        error_uri=failure.error_uri,
        occurred_at_us=failure.occurred_at_us,
        worker=failure.worker,
    )


def _budget(
    node: Node, failure: Failure, attempts_max: int, system_retries: int
) -> tuple[int, int]:
    system_failures = node.retries.system_failures
    if failure.kind == ErrorKind.SYSTEM:
        return system_failures, system_retries
    return node.attempt + 1 - system_failures, attempts_max
