"""The topics of the log: names, and what each carries (design: Messages)."""

from __future__ import annotations

COMMANDS = "flightlog.commands"
EVENTS = "flightlog.events"
DISPATCHES = "flightlog.dispatches"
ABORTS = "flightlog.aborts"
SNAPSHOTS = "flightlog.snapshots"
REGISTRY = "flightlog.registry"
NOTIFICATIONS = "flightlog.notifications"
DEAD_LETTERS = "flightlog.dead-letters"

COMPACTED = frozenset({SNAPSHOTS})
"""Topics of which only the newest record of each key is kept."""
