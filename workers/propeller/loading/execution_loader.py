"""What commands to executions need from outside: admission, graphs, recovery."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from msgspec.structs import replace as replaced

from domain.execution.context import Context, Limits
from domain.execution.state.frontier import rebuild
from domain.execution.state.inline_outputs import held
from domain.execution.state.saved_nodes import NOTHING_SAVED
from domain.graph import Definition
from infra.eventlog.contract import Log
from schemas.envelope import Envelope
from schemas.messages import commands as c
from schemas.messages.rejections import Rejected
from workers.propeller.kinds.contract import ClosedStreamIndex, CommandMetadata
from workers.propeller.kinds.executions import ExecutionStream, LoadedExecution
from workers.propeller.loading.admission import Admission
from workers.propeller.loading.recovery_source import (
    Definitions,
    load_recovery_source,
    with_dynamic_workflows,
)


class Admitting(Protocol):
    """What admits executions."""

    async def admit(
        self, command: c.CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission | Rejected:
        """Return the event that begins the execution, or why it may not begin.

        Raises TransientError while the registry can't be reached.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionLoader:
    """Reads the registry, the blob store and the log for executions."""

    log: Log
    definitions: Definitions
    admission: Admitting
    limits: Limits
    closed: ClosedStreamIndex | None = None

    @property
    def commands(self) -> frozenset[type[c.ExecutionCommand]]:
        """Return the commands for which `prepare` is called."""
        return _COMMANDS

    async def load(self, stream: ExecutionStream) -> LoadedExecution:
        """Return the graph of an active execution, and what it recovers."""
        state = stream.state
        assert state.created is not None  # noqa: S101 - it has begun
        definition = await self.definitions.load(state.created.definition)
        recovery = NOTHING_SAVED
        if state.created.recovers is not None:
            source = await load_recovery_source(self.log, state.created.recovers)
            recovery = source.recovery
            definition = await with_dynamic_workflows(
                definition, recovery, self.definitions
            )
        for node_id in state.active:
            blob = state.nodes[node_id].dynamic_closure
            if blob is not None:
                closure = await self.definitions.load(blob)
                definition = definition.with_dynamic_closure(node_id, closure)
        return LoadedExecution(
            definition=definition,
            frontier=rebuild(definition, state),
            inline_outputs=held(state),
            recovery=recovery,
            limits=self.limits,
        )

    async def prepare(
        self,
        command: c.ExecutionCommand,
        envelope: Envelope,
        stream: ExecutionStream,
        metadata: CommandMetadata,
    ) -> tuple[ExecutionStream, Context]:
        """Return the stream and the context that a command is decided with."""
        match command:
            case c.CreateExecution() if not stream.sequence:
                return await self._admitted(command, envelope, stream, metadata)
            case c.ReportTaskExpanded():
                closure = await self.definitions.load(command.inside)
                stream = _with_dynamic_closure(stream, command, closure)
            case _:
                pass
        return stream, stream.loaded.context(metadata)

    async def _admitted(
        self,
        command: c.CreateExecution,
        envelope: Envelope,
        stream: ExecutionStream,
        metadata: CommandMetadata,
    ) -> tuple[ExecutionStream, Context]:
        found = await self.admission.admit(command, envelope, metadata.now_us)
        if isinstance(found, Rejected):
            return stream, replace(stream.loaded.context(metadata), admission=found)
        loaded = LoadedExecution(
            definition=found.definition, recovery=found.recovery, limits=self.limits
        )
        stream = replaced(
            stream, loaded=loaded, correlation=found.created.root or metadata.stream
        )
        return stream, replace(loaded.context(metadata), admission=found.created)


_COMMANDS: frozenset[type[c.ExecutionCommand]] = frozenset(
    (c.CreateExecution, c.ReportTaskExpanded)
)


def _with_dynamic_closure(
    stream: ExecutionStream, report: c.ReportTaskExpanded, closure: Definition
) -> ExecutionStream:
    """Return a stream with what a dynamic task generated, unless its report is late."""
    loaded, node = stream.loaded, stream.state.nodes.get(report.node_id)
    assert isinstance(loaded, LoadedExecution)  # noqa: S101 - of this kind
    if loaded.definition is None or node is None or node.dynamic_closure is not None:
        return stream
    if node.attempt != report.attempt:
        return stream
    definition = loaded.definition.with_dynamic_closure(report.node_id, closure)
    return replaced(stream, loaded=replaced(loaded, definition=definition))
