"""Paths: where executions and attempts keep their data in the blob store.

By newer rules (`schemas/levels.py`) a path follows from the whole id: executions of one
name in two domains share no folder.
"""

from __future__ import annotations

from schemas.ids import (
    ExecutionRef,
    attempt_id,
    execution_stream,
    local_folder,
    raw_output_prefix,
)

OWN_FOLDERS = 2
"""The rules from which on no two executions share a folder."""


def data_folder(execution: ExecutionRef, rules: int) -> str:
    """Return the folder of the data of an execution's nodes (ref §4.7).

    A hyphen in a project or a domain would make other executions out of the same name;
    an underscore is in no name.
    """
    parts = execution.project, execution.domain, execution.name
    is_plain = "-" not in execution.project + execution.domain
    between = "-" if is_plain or rules < OWN_FOLDERS else "_"
    return f"metadata/propeller/{between.join(parts)}"


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
