"""The topics of the log, and the consumer groups that read them."""

from __future__ import annotations

COMMANDS = "flightlog.commands"
EVENTS = "flightlog.events"
DISPATCHES = "flightlog.dispatches"
ABORTS = "flightlog.aborts"
SNAPSHOTS = "flightlog.snapshots"
REGISTRY = "flightlog.registry"
NOTIFICATIONS = "flightlog.notifications"
DEAD_LETTERS = "flightlog.dead-letters"

PROPELLER_GROUP = "propeller"
PROJECTOR_GROUP = "projector"
RUNNER_GROUP = "runner"

OWNED = frozenset({EVENTS, SNAPSHOTS})
"""Topics whose partition the owner of the commands' partition of that number writes."""

COMPACTED = frozenset({SNAPSHOTS})
"""Topics of which only the newest record of each key is kept."""
