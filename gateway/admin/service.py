"""AdminService as one servicer, made of its themes."""

from __future__ import annotations

from flyteidl.service import admin_pb2_grpc

from gateway.admin.attributes import AttributeRpcs
from gateway.admin.descriptions import DescriptionRpcs
from gateway.admin.events import EventRpcs
from gateway.admin.executions import ExecutionRpcs
from gateway.admin.launch_plans import LaunchPlanRpcs
from gateway.admin.metrics import MetricRpcs
from gateway.admin.named_entities import NamedEntityRpcs
from gateway.admin.node_executions import NodeExecutionRpcs
from gateway.admin.projects import ProjectRpcs
from gateway.admin.task_executions import TaskExecutionRpcs
from gateway.admin.tasks import TaskRpcs
from gateway.admin.workflows import WorkflowRpcs
from gateway.errors import guarded
from gateway.services import Services


@guarded
class Admin(
    TaskRpcs,
    WorkflowRpcs,
    LaunchPlanRpcs,
    NamedEntityRpcs,
    ExecutionRpcs,
    NodeExecutionRpcs,
    TaskExecutionRpcs,
    ProjectRpcs,
    AttributeRpcs,
    DescriptionRpcs,
    MetricRpcs,
    EventRpcs,
    admin_pb2_grpc.AdminServiceServicer,  # type: ignore[misc]
):
    """flyteidl.service.AdminService; what no theme has is UNIMPLEMENTED."""

    def __init__(self, services: Services) -> None:
        """Serve with these adapters."""
        self.services = services
