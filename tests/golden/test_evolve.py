"""Golden sources: what each released event does to the state stays what it is.

Beside each event class, at its newest version, lies the source of its fold, without
docstrings and comments: the function, and the functions, properties and constants that
it uses. An event counts as released once its file is there.

UPDATE_GOLDEN=1 writes the files that are missing, which are those of new events and of
new versions, and leaves the others alone. A fold that was rewritten without changing
its meaning needs a decision by hand: delete its file, write it again, and say in the
commit why the meaning is the same; the golden streams and exported logs show it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from domain.execution.state import evolve
from schemas.messages.node_events import Event
from schemas.wire import registry
from tests.golden.fold_sources import fold_source, tree_of

FOLDER = Path(__file__).parent / "evolve"
UPDATES = os.environ.get("UPDATE_GOLDEN") == "1"
CHANGED = """\
The fold of {event} has changed, but events of it are on logs that are read forever:
a new meaning is a new message. Leave this fold as it was, add a message with the new
meaning, and emit that from now on (docs/how-to/add-a-message.md).
Only if the events mean what they did: delete {file}, run this test with
UPDATE_GOLDEN=1, and raise EVOLVE_REVISION in snapshot_chunks.py if states differ."""


def _path(event: type[Event]) -> Path:
    return FOLDER / f"{event.__name__}_v{registry.ENGINE.newest(event)}.golden"


@pytest.mark.parametrize("event", evolve.APPLY, ids=lambda event: event.__name__)
def test_a_released_event_folds_as_it_did(event: type[Event]) -> None:
    """The syntax tree of its fold is the golden one."""
    path, found = _path(event), fold_source(evolve.APPLY[event])
    if UPDATES and not path.exists():
        FOLDER.mkdir(exist_ok=True)
        path.write_text(found)
    assert path.exists(), f"{path.name} is missing: UPDATE_GOLDEN=1 writes it"
    released = path.read_text()
    changed = CHANGED.format(event=event.__name__, file=path.name)
    if tree_of(released) != tree_of(found):
        pytest.fail(f"{changed}\n\nReleased:\n{released}\nFound:\n{found}")


def test_no_golden_source_is_left_over() -> None:
    """Each file belongs to the newest version of an event."""
    expected = {_path(event).name for event in evolve.APPLY}
    assert expected == {path.name for path in FOLDER.iterdir()}


def test_a_fold_names_all_that_it_uses() -> None:
    """Functions of other modules, properties of states and constants count as well."""
    source = fold_source(evolve.APPLY[_event("NodeFailed")])
    for used in (
        "def put_node",
        "def count_element",
        "def is_terminal",
        "SLOT_KINDS =",
    ):
        assert used in source
    assert "def is_terminal" in source
    assert "TERMINAL_NODE =" in source
    assert '"""' not in source


def test_another_meaning_is_noticed() -> None:
    """A tree differs by what is done, and not by how it is written down."""
    source = fold_source(evolve.APPLY[_event("NodeStarted")])
    assert tree_of(source) == tree_of(f"# a comment\n{source}\n\n")
    assert tree_of(source) != tree_of(source.replace("RUNNING", "QUEUED"))


def _event(name: str) -> type[Event]:
    return next(event for event in evolve.APPLY if event.__name__ == name)
