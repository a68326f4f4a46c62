"""Topological order of nodes, cycles, and unreachable nodes (ref §3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from domain.compiler.errors import Code, Findings
from domain.graph import END, START

Before = Mapping[str, AbstractSet[str]]
"""The nodes that each node must come after."""


def order_of(node_ids: Sequence[str], before: Before, found: Findings) -> list[str]:
    """Return the ids in topological order.

    Nodes in a cycle and unreachable nodes are findings; they come last.
    """
    after: dict[str, list[str]] = {}
    for node_id in node_ids:
        for source in before.get(node_id, ()):
            after.setdefault(source, []).append(node_id)
    reached = _reached(after)
    unreachable = [node_id for node_id in node_ids if node_id not in reached]
    ordered = _sorted([i for i in node_ids if i in reached], reached, before, after)
    done = {*ordered, *unreachable}
    stuck = [node_id for node_id in node_ids if node_id not in done]
    named = ", ".join(node_id for node_id in unreachable if node_id != END)
    if named:
        text = f"Expected every node to be reachable, but these are not: {named}"
        found.add(Code.UNREACHABLE_NODES, START, text)
    if stuck:
        path = " > ".join(_cycle(stuck, before))
        text = f"Expected no cycle, but nodes wait for each other: {path}"
        found.add(Code.CYCLE_DETECTED, START, text)
    return [*ordered, *stuck, *unreachable]


def _reached(after: Mapping[str, Iterable[str]]) -> set[str]:
    reached, waiting = {START}, [START]
    while waiting:
        for node_id in after.get(waiting.pop(), ()):
            if node_id not in reached:
                reached.add(node_id)
                waiting.append(node_id)
    return reached


def _sorted(
    node_ids: Sequence[str],
    reached: AbstractSet[str],
    before: Before,
    after: Mapping[str, Sequence[str]],
) -> list[str]:
    """Return the nodes that start leads to, except those in or behind a cycle."""
    waits = {node_id: len(before[node_id] & reached) for node_id in node_ids}
    ordered: list[str] = []
    ready = [START]
    while ready:
        for node_id in after.get(ready.pop(), ()):
            waits[node_id] -= 1
            if not waits[node_id]:
                ready.append(node_id)
                ordered.append(node_id)
    return ordered


def _cycle(stuck: Sequence[str], before: Before) -> list[str]:
    """Return a cycle among nodes of which each waits for another of them."""
    among = set(stuck)
    node_id = stuck[0]
    places: dict[str, int] = {}
    while node_id not in places:
        places[node_id] = len(places)
        node_id = min(before[node_id] & among)
    first = places[node_id]
    cycle = [i for i, place in places.items() if place >= first]
    return [node_id, *reversed(cycle)]
