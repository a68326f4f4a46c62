"""Events of executions as the notifier reads them, and receivers of what it sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from flyteidl.admin import common_pb2, execution_pb2

from domain.notifying.live_execution import LiveExecution, live_execution
from schemas.ids import EntityRef, ExecutionRef, ParentNode
from schemas.messages import execution_events as e
from schemas.values import Blob, Failure, Values

SECOND_US = 1_000_000
NOTIFY = "flightlog.org/notify"
FAILURE = Failure(code="USER:ValueError", message="too big", kind="USER")


def plan(name: str = "flows.wf", kind: str = "LAUNCH_PLAN") -> EntityRef:
    """Return an entity of project p and domain d."""
    return EntityRef(kind=kind, project="p", domain="d", name=name, version="v1")


def mail(
    *phases: int, to: str = "a@example.com", template: str = ""
) -> common_pb2.Notification:
    """Return a notification by e-mail."""
    return common_pb2.Notification(
        phases=phases,
        email=common_pb2.EmailNotification(recipients_email=[to], template=template),
    )


def created(
    name: str = "one",
    *,
    at_us: int = 0,
    launch_plan: str = "flows.wf",
    asks: str = "",
    mails: tuple[common_pb2.Notification, ...] = (),
    labels: Mapping[str, str] | None = None,
    parent: str | None = None,
    mode: int = 0,
) -> e.ExecutionCreated:
    """Return the first event of an execution."""
    spec = execution_pb2.ExecutionSpec()
    spec.metadata.mode = mode  # type: ignore[assignment]
    spec.notifications.notifications.extend(mails)
    spec.labels.values.update(labels or {})
    if asks:
        spec.annotations.values[NOTIFY] = asks
    above = f"execution/p/d/{parent}"
    return e.ExecutionCreated(
        occurred_at_us=at_us,
        execution=ExecutionRef(project="p", domain="d", name=name),
        launch_plan=plan(launch_plan),
        workflow=plan(launch_plan, "WORKFLOW"),
        task=None,
        spec=spec.SerializeToString(deterministic=True),
        inputs=Values(inline=b""),
        user_inputs=Values(inline=b""),
        definition=Blob(uri="", digest="", size=0),
        principal="me",
        max_parallelism=25,
        parent=ParentNode(stream=above, node_id="n0", attempt=0) if parent else None,
    )


def live(name: str = "one", started_us: int = SECOND_US, **of: object) -> LiveExecution:
    """Return an execution that runs."""
    found = live_execution(created(name, **of))  # type: ignore[arg-type]
    return found.after(e.ExecutionStarted(occurred_at_us=started_us))


def failed(at_us: int = 3 * SECOND_US, failure: Failure = FAILURE) -> e.ExecutionFailed:
    """Return the last event of an execution that failed."""
    return e.ExecutionFailed(occurred_at_us=at_us, failure=failure)


def succeeded(at_us: int = 3 * SECOND_US) -> e.ExecutionSucceeded:
    """Return the last event of an execution that succeeded."""
    return e.ExecutionSucceeded(occurred_at_us=at_us, outputs=Values(inline=b""))


@dataclass(frozen=True)
class Request:
    """A request that a receiver got."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """An HTTP server that answers as a test says: a status line, headers and a body.

    `answer` may close the connection instead, by returning None.
    """

    answer: Callable[[Request], bytes | None]
    got: list[Request] = field(default_factory=list)
    url: str = ""

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Read a request and answer it."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(first.split(" ")[1], headers, body)
        self.got.append(request)
        answer = self.answer(request)
        if answer is not None:
            writer.write(answer)
            await writer.drain()
        writer.close()


def response(status: int, body: str = "", **headers: str) -> bytes:
    """Return an HTTP response."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join(
        (f"HTTP/1.1 {status} X", f"Content-Length: {len(body.encode())}", *lines)
    )
    return f"{head}\r\nConnection: close\r\n\r\n{body}".encode()


@asynccontextmanager
async def receiving(
    answer: Callable[[Request], bytes | None],
) -> AsyncIterator[Receiver]:
    """Run a receiver on a free port."""
    receiver = Receiver(answer)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield receiver
