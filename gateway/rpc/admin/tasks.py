"""AdminService: tasks."""

from __future__ import annotations

from flyteidl.admin import common_pb2, task_pb2

from gateway.registry import entities
from gateway.rpc.admin import versions
from gateway.rpc.paging import next_token
from gateway.services.container import Services
from gateway.services.handlers import CallContext
from gateway.translate.registry import to_task
from projections.queries import registry


class TaskRpcs:
    """RPCs on tasks."""

    services: Services

    async def CreateTask(
        self, request: task_pb2.TaskCreateRequest, _context: CallContext
    ) -> task_pb2.TaskCreateResponse:
        """Register a task version."""
        await entities.create_task(self.services, request)
        return task_pb2.TaskCreateResponse()

    async def GetTask(
        self, request: common_pb2.ObjectGetRequest, _context: CallContext
    ) -> task_pb2.Task:
        """Return a task version."""
        return to_task(await versions.find(self.services, request.id, registry.TASKS))

    async def ListTasks(
        self, request: common_pb2.ResourceListRequest, _context: CallContext
    ) -> task_pb2.TaskList:
        """Return task versions."""
        page, rows = await versions.listed(self.services, registry.TASKS, request)
        tasks = [to_task(row) for row in rows]
        return task_pb2.TaskList(tasks=tasks, token=next_token(page, rows))

    async def ListTaskIds(
        self,
        request: common_pb2.NamedEntityIdentifierListRequest,
        _context: CallContext,
    ) -> common_pb2.NamedEntityIdentifierList:
        """Return the names of tasks."""
        return await versions.names(self.services, registry.TASKS, request)
