"""Dispatches: work for runners that follows from an event."""

from __future__ import annotations

import msgspec

from schemas.ids import EntityRef, ExecutionRef
from schemas.values import KeyValue, Values


class Dispatch(msgspec.Struct, frozen=True, kw_only=True):
    """What every dispatch has: the attempt that it is for."""

    stream: str
    node_id: str
    attempt: int


class RunTask(Dispatch, frozen=True, kw_only=True):
    """Run one attempt of a task.

    `template` is a serialized flyteidl.core.TaskTemplate, overrides applied. Paths are
    relative to the blob store's root unless they are absolute or have a scheme.
    `array_index` is the index of an element that is given all lists, else -1. Outputs
    of more than `inline_max` bytes are reported by reference; -1: the runner's limit.
    """

    dispatch_no: int
    execution: ExecutionRef
    task: EntityRef
    workflow: EntityRef
    template: bytes
    inputs: Values
    generated_name: str
    input_path: str
    output_path: str
    raw_output_prefix: str
    interruptible: bool = False
    envs: tuple[KeyValue, ...] = ()
    previous_checkpoint: str = ""
    array_index: int = -1
    inline_max: int = -1


class SourceValues(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs of an upstream node, by the node's id in the workflow."""

    node_id: str
    values: Values


class ArrayShape(msgspec.Struct, frozen=True, kw_only=True):
    """How an array uses its inputs: `bound` ones are the same for all elements.

    Inputs of more than `inline_max` bytes are reported by reference.
    """

    bound: tuple[str, ...]
    inline_max: int


class ResolveInputs(Dispatch, frozen=True, kw_only=True):
    """Resolve a node's inputs whose sources aren't all inline; report them.

    `bindings` are serialized flyteidl.core.Binding; `operands` names the variables
    whose literals a branch needs inline. With `array` its size is reported too. Inputs
    of more than `inline_max` bytes are reported by reference; -1: the runner's limit.
    `times` is a serialized flyteidl.core.VariableMap of the inputs that are datetimes
    or durations, and may be taken out of a dataclass.
    """

    bindings: tuple[bytes, ...]
    sources: tuple[SourceValues, ...]
    input_path: str
    operands: tuple[str, ...] = ()
    array: ArrayShape | None = None
    inline_max: int = -1
    times: bytes = b""


class GatherOutputs(Dispatch, frozen=True, kw_only=True):
    """Gather the outputs of an array's elements into lists; report them.

    `sources` are the outputs of the elements at `indexes`; the others have none. If
    `as_is`, the only source is stored without lists: the outputs of a child execution.
    """

    size: int
    names: tuple[str, ...]
    indexes: tuple[int, ...]
    sources: tuple[Values, ...]
    output_path: str
    as_is: bool = False


class LookUpCache(Dispatch, frozen=True, kw_only=True):
    """Look a node's outputs up in the catalog, and report the answer.

    `interface` is a serialized flyteidl.core.TypedInterface; `ignored` names inputs
    that aren't part of the key. `overwrites` asks for the key only. `bindings`, if any,
    are serialized core.Binding that take an element's inputs out of its array's lists.
    """

    task: EntityRef
    cache_version: str
    interface: bytes
    inputs: Values
    ignored: tuple[str, ...] = ()
    serializes: bool = False
    overwrites: bool = False
    bindings: tuple[bytes, ...] = ()


class AbortTask(Dispatch, frozen=True, kw_only=True):
    """Stop an attempt, wherever it runs. It is sent on the aborts topic.

    With a `dispatch_no` only that dispatch is stopped, and only where that incarnation
    of the runner runs it: it has lost the lease.
    """

    reason: str
    dispatch_no: int = -1
    runner: str = ""
    incarnation: str = ""

    @property
    def names_dispatch(self) -> bool:
        """Return whether it stops one dispatch only, not the attempt as a whole."""
        return self.dispatch_no >= 0


DispatchMessage = RunTask | ResolveInputs | LookUpCache | GatherOutputs
