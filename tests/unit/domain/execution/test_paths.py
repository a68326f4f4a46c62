"""Paths: files of nodes, attempts and runs that share a folder never meet."""

from __future__ import annotations

from itertools import product

import pytest

from schemas.ids import ExecutionRef
from schemas.paths import (
    FLAT_FOLDERS,
    attempt_path,
    data_folder,
    input_file,
    node_of_inputs,
    node_path,
    path_in,
)

REF = ExecutionRef(project="p", domain="d", name="run")
FOLDER = data_folder(REF, FLAT_FOLDERS)
NODES = [
    "a", "a-1", "a-1-0", "a.1", "a.1-0", "a.0.0-f", "a/0", "../a", "", "é", "!a",
    "a\n", "inputs.pb",
]  # fmt: skip
RUNS = ["0-f", "0-f1", "1-f", "10-f"]


def _paths(node_id: str) -> set[str]:
    node = node_path(REF, node_id, FLAT_FOLDERS)
    found = {node, input_file(node)}
    for number in (0, 1, 10):
        attempt = attempt_path(node, number)
        found.add(path_in(attempt, "outputs.pb"))
        for run in RUNS:
            folder = path_in(attempt, run)
            found.update((folder, path_in(folder, "outputs.pb")))
    return found


def test_no_two_files_have_one_path() -> None:
    """Whatever is in the ids: hyphens, dots, slashes, or nothing at all."""
    each = [_paths(node_id) for node_id in NODES]

    assert sum(map(len, each)) == len(set.union(*each))
    assert len({len(paths) for paths in each}) == 1


@pytest.mark.parametrize("node_id", NODES)
def test_no_path_leaves_the_folder(node_id: str) -> None:
    """One folder holds them all, however a node is called."""
    inputs = input_file(node_path(REF, node_id, FLAT_FOLDERS))
    for path in _paths(node_id) - {inputs}:
        folder, _, name = path.rpartition("/")
        assert folder == FOLDER
        assert name not in {"", ".", ".."}


@pytest.mark.parametrize("node", ["metadata/propeller/p-d-run/n0/data", "x/n0/data"])
def test_by_older_rules_each_has_a_folder(node: str) -> None:
    """Of nodes, attempts and runs."""
    for number, run in product((0, 10), RUNS):
        folder = path_in(attempt_path(node, number), run)
        assert folder == f"{node}/{number}/{run}"
        assert path_in(folder, "log.txt") == f"{folder}/log.txt"


def test_a_node_is_found_by_its_inputs() -> None:
    """A search for logs knows that path only."""
    node = node_path(REF, "n0", FLAT_FOLDERS)

    assert node_of_inputs(input_file(node)) == node
