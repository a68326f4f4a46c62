"""Paths: where executions and attempts keep their data in the blob store.

By newer rules (`schemas/levels.py`) a path follows from the whole id: executions of one
name in two domains share no folder. The data of an execution lies in one flat folder
then, in files such as `<node>.<attempt>.<run>.outputs.pb`; by older rules each node,
attempt and run has a folder of its own.
"""

from __future__ import annotations

import re

from schemas.ids import (
    ExecutionRef,
    attempt_id,
    execution_stream,
    local_folder,
    raw_output_prefix,
)

OWN_FOLDERS = 2
"""The rules from which on no two executions share a folder."""

FLAT_FOLDERS = 2
"""The rules from which on the data of an execution's nodes lies in one folder."""

LOG = "log.txt"
"""What the log of a run is called."""

_PROPELLER = "metadata/propeller"
_INPUTS = "/inputs.pb"
_FLAT_DEPTH = 3
"""Slashes in the path of a node's data; by older rules there are more."""
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]+")
"""Ids that a path holds as they are. None has a dot, which ends them in a path."""


def data_folder(execution: ExecutionRef, rules: int) -> str:
    """Return the folder of the data of an execution's nodes (ref §4.7).

    A hyphen in a project or a domain would make other executions out of the same name;
    an underscore is in no name.
    """
    parts = execution.project, execution.domain, execution.name
    is_plain = "-" not in execution.project + execution.domain
    between = "-" if is_plain or rules < OWN_FOLDERS else "_"
    return f"{_PROPELLER}/{between.join(parts)}"


def node_path(execution: ExecutionRef, node_id: str, rules: int) -> str:
    """Return the path of a node's data in a flat folder, by the node's unique id."""
    is_plain = _PLAIN_ID.fullmatch(node_id) is not None
    name = node_id if is_plain else f"!{local_folder(node_id)}"
    return f"{data_folder(execution, rules)}/{name}"


def input_file(node: str) -> str:
    """Return the path of a node's inputs, by that of its data.

    They alone have a folder, if they are stored at all: a command may name it
    (`{{.inputPrefix}}`, ref §6.4), and what lies in it.
    """
    return f"{node}{_INPUTS}"


def node_of_inputs(input_path: str) -> str:
    """Return the path of a node's data, by that of its inputs."""
    return input_path.removesuffix(_INPUTS)


def attempt_path(node: str, attempt: int) -> str:
    """Return the path of an attempt's data, by that of its node's."""
    is_flat = node.startswith(f"{_PROPELLER}/") and node.count("/") == _FLAT_DEPTH
    return f"{node}{'.' if is_flat else '/'}{attempt}"


def path_in(attempt_or_run: str, name: str) -> str:
    """Return the path of an attempt's run, or of a file of an attempt or a run.

    By older rules it lies in a folder of theirs, else beside them.
    """
    is_flat = "." in attempt_or_run.rpartition("/")[2]
    return f"{attempt_or_run}{'.' if is_flat else '/'}{name}"


def raw_outputs(
    base: str,
    execution: ExecutionRef,
    node_id: str,
    attempt: int,
    generated_name: str,
    rules: int,
) -> str:
    """Return the prefix of an attempt's raw outputs and its checkpoint (ref §4.7)."""
    if rules < OWN_FOLDERS:
        return raw_output_prefix(base, generated_name)
    whole = attempt_id(execution_stream(execution), node_id, attempt)
    return raw_output_prefix(base, f"{generated_name}-{local_folder(whole)}")
