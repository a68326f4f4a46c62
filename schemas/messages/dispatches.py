"""Work for runners: what follows from an event and needs the outside world."""

from __future__ import annotations

import msgspec

from schemas.ids import EntityRef, ExecutionRef
from schemas.values import KeyValue, Values


class Dispatch(msgspec.Struct, frozen=True, kw_only=True):
    """What every piece of work names: the attempt that it is for."""

    stream: str
    node_id: str
    attempt: int


class RunTask(Dispatch, frozen=True, kw_only=True):
    """Run one attempt of a task.

    `template` is a serialized flyteidl.core.TaskTemplate, overrides applied. Paths are
    relative to the blob store's root unless they are absolute or have a scheme.
    `array_index` is the place of an element that is given the whole lists, else -1.
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


class SourceValues(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs of an upstream node, by the node's id in the workflow."""

    node_id: str
    values: Values


class ArrayShape(msgspec.Struct, frozen=True, kw_only=True):
    """How an array uses its inputs: those `bound` are the same for all elements.

    Inputs of more than `inline_max` bytes go by reference.
    """

    bound: tuple[str, ...]
    inline_max: int


class ResolveInputs(Dispatch, frozen=True, kw_only=True):
    """Resolve a node's inputs whose sources aren't all inline; report them.

    `bindings` are serialized flyteidl.core.Binding; `operands` names the variables
    whose literals a branch needs inline. With `array` its size is reported too.
    """

    bindings: tuple[bytes, ...]
    sources: tuple[SourceValues, ...]
    input_path: str
    operands: tuple[str, ...] = ()
    array: ArrayShape | None = None


class GatherOutputs(Dispatch, frozen=True, kw_only=True):
    """Gather the outputs of an array's elements into lists; report them.

    `sources` are the outputs of the elements at `indexes`; others yielded none.
    """

    size: int
    names: tuple[str, ...]
    indexes: tuple[int, ...]
    sources: tuple[Values, ...]
    output_path: str


class LookUpCache(Dispatch, frozen=True, kw_only=True):
    """Look a node's outputs up in the catalog, and report on it.

    `interface` is a serialized flyteidl.core.TypedInterface; `ignored` names inputs
    that don't count. `overwrites` asks for the key only. `bindings` (core.Binding), if
    any, take what counts out of `inputs`: an element's own part of its array's lists.
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
    """Stop an attempt at once, wherever it runs. Travels on the aborts topic."""

    reason: str


DispatchMessage = RunTask | ResolveInputs | LookUpCache | GatherOutputs
