"""What must be known of an execution to notify of it, folded until it ends; pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from flyteidl.admin import execution_pb2
from msgspec.structs import replace

from domain.annotations import NOTIFY
from domain.notifying.annotation import Subscription, subscriptions
from domain.notifying.mails import Mail, mails
from schemas.ids import EntityRef, ExecutionRef, execution_of
from schemas.messages import execution_events as e
from schemas.messages.node_events import Event, NodeRetryScheduled
from schemas.values import ErrorKind

Mode: TypeAlias = Literal["manual", "scheduled", "relaunch", "child", "other"]
_MODES: dict[int, Mode] = {
    execution_pb2.ExecutionMetadata.MANUAL: "manual",
    execution_pb2.ExecutionMetadata.SCHEDULED: "scheduled",
    execution_pb2.ExecutionMetadata.RELAUNCH: "relaunch",
    execution_pb2.ExecutionMetadata.CHILD_WORKFLOW: "child",
}


class LiveExecution(msgspec.Struct, frozen=True, kw_only=True):
    """A live execution: what rules ask of it, and what a message says.

    `mails` are Flyte's own notifications, `subscriptions` those of the annotation.
    `retries` counts attempts that failed and were tried again, `system_retries` those
    of them that a system error ended.
    """

    execution: ExecutionRef
    launch_plan: EntityRef
    workflow: EntityRef
    mode: Mode = "manual"
    labels: dict[str, str] = {}
    principal: str = ""
    parent: ExecutionRef | None = None
    created_at_us: int
    started_at_us: int | None = None
    mails: tuple[Mail, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    retries: int = 0
    system_retries: int = 0
    traceparent: str = ""

    @property
    def is_child(self) -> bool:
        """Return whether another execution asked for it."""
        return self.parent is not None

    @property
    def begun_at_us(self) -> int:
        """Return since when it runs, or waits to."""
        return self.created_at_us if self.started_at_us is None else self.started_at_us

    def after(self, event: Event) -> LiveExecution:
        """Return it after one more of its events."""
        match event:
            case e.ExecutionStarted() if self.started_at_us is None:
                return replace(self, started_at_us=event.occurred_at_us)
            case NodeRetryScheduled():
                system = event.failure.kind == ErrorKind.SYSTEM
                return replace(
                    self,
                    retries=self.retries + 1,
                    system_retries=self.system_retries + system,
                )
            case _:
                return self


def live_execution(event: e.ExecutionCreated, traceparent: str = "") -> LiveExecution:
    """Return an execution as it begins."""
    begun = LiveExecution(
        execution=event.execution,
        launch_plan=event.launch_plan,
        workflow=event.workflow,
        principal=event.principal,
        parent=execution_of(event.parent.stream) if event.parent else None,
        created_at_us=event.occurred_at_us,
        traceparent=traceparent,
    )
    return with_spec(begun, event.spec)


def with_spec(live: LiveExecution, spec: bytes) -> LiveExecution:
    """Return an execution with what its resolved ExecutionSpec asks for.

    A child has the annotation of its own launch plan: admission resolves it so.
    """
    parsed = execution_pb2.ExecutionSpec.FromString(spec)
    found = subscriptions(parsed.annotations.values.get(NOTIFY, ""))
    return replace(
        live,
        mode=_MODES.get(parsed.metadata.mode, "other"),
        labels=dict(parsed.labels.values),
        mails=tuple(mails(parsed.notifications.notifications)),
        subscriptions=() if isinstance(found, str) else found,
    )
