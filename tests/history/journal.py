"""The clients' own record of what they sent, were told and saw, for the checker.

`Journal` writes it: one JSON object a line, as `tests.history.checker` describes them.
`RecordedRemote` is a client that keeps it: a FlyteRemote whose calls are recorded.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from flytekit.exceptions.base import FlyteException
from flytekit.models.core.execution import NodeExecutionPhase, WorkflowExecutionPhase
from flytekit.remote import FlyteRemote

REFUSED = frozenset(
    {
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""After these a command has no effect; after any other code it may have one."""


class Journal:
    """A file of what clients did, in the order in which they did it."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Append to a file; `clock` is one for all clients, and no fault moves it."""
        self.path = path
        self.clock = clock
        self._lock = threading.Lock()

    def sent(
        self,
        client: str,
        command: str,
        kind: str,
        stream: str,
        *,
        fields: dict[str, Any] | None = None,
        ends: dict[str, Any] | None = None,
    ) -> None:
        """Say that a command is about to be sent; again with the same id if it is."""
        self._write(
            say="sent", client=client, id=command, type=kind, stream=stream,
            fields=fields or {}, ends=ends,
        )  # fmt: skip

    def told(self, client: str, command: str, answer: str, detail: str = "") -> None:
        """Say which answer came: `done`, `refused` or `unknown`."""
        self._write(say="told", client=client, id=command, answer=answer, detail=detail)

    def read(self, client: str, stream: str, began: float, **saw: Any) -> None:
        """Say what was seen, once it is there: phase, nodes, outputs, or sequence."""
        self._write(say="read", client=client, stream=stream, began=began, saw=saw)

    @contextmanager
    def sending(
        self, client: str, command: str, kind: str, stream: str, **more: Any
    ) -> Iterator[None]:
        """Record a command that the block sends, and how it was answered."""
        self.sent(client, command, kind, stream, **more)
        try:
            yield
        except Exception as error:
            code = code_of(error)
            answer = "refused" if code in REFUSED else "unknown"
            name = code.name if code is not None else type(error).__name__
            self.told(client, command, answer, name)
            raise
        self.told(client, command, "done")

    def entries(self) -> list[dict[str, Any]]:
        """Return everything that was recorded."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def _write(self, **entry: Any) -> None:
        with self._lock, self.path.open("a") as file:
            file.write(json.dumps({"at": self.clock(), **entry}) + "\n")


def code_of(error: BaseException) -> grpc.StatusCode | None:
    """Return the status that a call ended with; flytekit wraps it."""
    while not isinstance(error, grpc.RpcError):
        if error.__cause__ is None:
            return None
        error = error.__cause__
    code: grpc.StatusCode = error.code()
    return code


class RecordedRemote:
    """One client, that does one thing after the other, and a record of it.

    Its calls raise what the client's own raise; `may_be_repeated` says which may be.
    """

    def __init__(self, remote: FlyteRemote, journal: Journal, name: str) -> None:
        """Record what this client does under its name."""
        self.remote, self.journal, self.name = remote, journal, name

    def start(
        self,
        name: str,
        plan: Any,
        inputs: dict[str, Any],
        *,
        ends: dict[str, Any] | None = None,
        type_hints: dict[str, type] | None = None,
    ) -> Any:
        """Create an execution of this name; sent again, it is the same command.

        `ends` is how the model ends it: {"phase": "SUCCEEDED", "outputs": {…}}.
        """
        stream = self.stream(name)
        command = f"create {stream}"
        with self.journal.sending(
            self.name, command, "CreateExecution", stream, ends=ends
        ):
            return self.remote.execute(
                plan, inputs=inputs, execution_name=name, type_hints=type_hints or {}
            )

    def terminate(self, execution: Any, cause: str) -> None:
        """Abort an execution."""
        stream = self.stream(execution.id.name)
        command = f"{self.name} terminates {stream} at {self.journal.clock()}"
        with self.journal.sending(self.name, command, "TerminateExecution", stream):
            self.remote.terminate(execution, cause)

    def set_signal(self, name: str, signal: str, value: Any) -> None:
        """Set a signal of an execution."""
        stream, fields = self.stream(name), {"signal_id": signal}
        command = f"{self.name} sets {signal} of {stream} at {self.journal.clock()}"
        with self.journal.sending(
            self.name, command, "SetSignal", stream, fields=fields
        ):
            self.remote.set_signal(signal, name, value)

    def phase(self, execution: Any) -> str:
        """Return an execution's phase."""
        began = self.journal.clock()
        found = self.remote.client.get_execution(execution.id).closure.phase
        phase = WorkflowExecutionPhase.enum_to_string(found)
        stream = self.stream(execution.id.name)
        self.journal.read(self.name, stream, began, phase=phase)
        return phase

    def nodes(self, execution: Any) -> dict[str, str]:
        """Return the phase of each node of an execution that the first page shows."""
        began = self.journal.clock()
        found, _ = self.remote.client.list_node_executions(execution.id, limit=1000)
        nodes = {
            node.id.node_id: NodeExecutionPhase.enum_to_string(node.closure.phase)
            for node in found
            if node.id.node_id not in {"start-node", "end-node"}
        }
        stream = self.stream(execution.id.name)
        self.journal.read(self.name, stream, began, nodes=nodes)
        return nodes

    def outputs(self, execution: Any, kinds: dict[str, Any]) -> dict[str, Any]:
        """Return an execution's outputs, by their names and kinds."""
        began = self.journal.clock()
        found = self.remote.sync(execution)
        outputs = {
            name: found.outputs.get(name, as_type=kind) for name, kind in kinds.items()
        }
        stream = self.stream(execution.id.name)
        self.journal.read(self.name, stream, began, outputs=outputs)
        return outputs

    def stream(self, name: str) -> str:
        """Return the stream of an execution by its name."""
        project, domain = self.remote.default_project, self.remote.default_domain
        return f"execution/{project}/{domain}/{name}"


def may_be_repeated(error: Exception) -> bool:
    """Return whether a call that ended so may be sent again."""
    return isinstance(error, FlyteException) and code_of(error) not in REFUSED
