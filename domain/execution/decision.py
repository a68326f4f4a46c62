"""A decision: the events so far, over the view of the state that they lead to.

It is mutable, but only inside one call of `decide`, which returns its events alone.
"""

from __future__ import annotations

from collections import deque

from domain.execution.context import Context
from domain.execution.state import inline_outputs
from domain.execution.state.advance import advance
from domain.execution.state.evolve import evolve
from domain.execution.state.frontier import Frontier, Place
from domain.execution.state.site import Site
from domain.execution.state.state import Execution
from domain.execution.view import ExecutionView
from schemas.messages import node_events as ne
from schemas.messages.execution_events import ExecutionEvent
from schemas.values import Failure

_ELEMENT_EVENTS = (ne.NodeStarted, ne.NodeSucceeded, ne.NodeFailed, ne.NodeTimedOut)


class Decision(ExecutionView):
    """A view that events are added to, and what can continue because of them.

    `ready` are places to enter, `changed_arrays` arrays to continue, `to_retry` dynamic
    nodes whose workflow timed out, with why.
    """

    __slots__ = ("changed_arrays", "events", "frontier", "ready", "to_retry")

    def __init__(self, state: Execution, context: Context) -> None:
        super().__init__(state, context)
        self.frontier = context.frontier or Frontier()
        self.events: list[ExecutionEvent] = []
        self.ready: deque[Place] = deque()
        self.changed_arrays: dict[str, None] = {}
        self.to_retry: dict[str, Failure] = {}

    def emit(self, event: ExecutionEvent) -> None:
        """Add an event, and note what can continue because of it."""
        self.events.append(event)
        self._state = state = evolve(self._state, event)
        self._inline_outputs += inline_outputs.added(event)
        if isinstance(event, _ELEMENT_EVENTS):
            self._note_element(state.nodes[event.node_id].site)
        elif isinstance(event, ne.NodeRecovered):
            self._note_element(state.nodes[event.site.node_id].site)
        self.frontier, ready = advance(self.frontier, self.definition, state, event)
        self.ready.extend(ready)

    def _note_element(self, site: Site) -> None:
        """Note the array of an element that has started or ended: it may continue."""
        if site.element is not None:
            self.changed_arrays[site.parent_id] = None
