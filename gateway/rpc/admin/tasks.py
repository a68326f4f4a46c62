"""AdminService: tasks."""

from __future__ import annotations

from typing import Any

from flyteidl.admin import task_pb2

from gateway.registry import entities
from gateway.rpc.admin import versions
from gateway.rpc.paging import next_token
from gateway.services.container import Services
from gateway.translate import registry as to_flyte


class TaskRpcs:
    """RPCs on tasks."""

    services: Services

    async def CreateTask(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Register a task version."""
        await entities.create_task(self.services, request)
        return task_pb2.TaskCreateResponse()

    async def GetTask(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a task version."""
        return to_flyte.task(await versions.find(self.services, request.id, "TASK"))

    async def ListTasks(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return task versions."""
        page, rows = await versions.listed(self.services, "TASK", request)
        found = [to_flyte.task(row) for row in rows]
        return task_pb2.TaskList(tasks=found, token=next_token(page, rows))

    async def ListTaskIds(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the names of tasks."""
        return await versions.names(self.services, "TASK", request)
