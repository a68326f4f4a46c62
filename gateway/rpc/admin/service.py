"""AdminService as one servicer, composed of its topics."""

from __future__ import annotations

from flyteidl.service import admin_pb2_grpc

from gateway.rpc.admin.attributes import AttributeRpcs
from gateway.rpc.admin.descriptions import DescriptionRpcs
from gateway.rpc.admin.events import EventRpcs
from gateway.rpc.admin.executions import ExecutionRpcs
from gateway.rpc.admin.launch_plans import LaunchPlanRpcs
from gateway.rpc.admin.metrics import MetricRpcs
from gateway.rpc.admin.named_entities import NamedEntityRpcs
from gateway.rpc.admin.node_executions import NodeExecutionRpcs
from gateway.rpc.admin.projects import ProjectRpcs
from gateway.rpc.admin.task_executions import TaskExecutionRpcs
from gateway.rpc.admin.tasks import TaskRpcs
from gateway.rpc.admin.workflows import WorkflowRpcs
from gateway.services.container import Services
from gateway.services.errors import guarded


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
    admin_pb2_grpc.AdminServiceServicer,
):
    """flyteidl.service.AdminService; what no topic has is UNIMPLEMENTED."""

    def __init__(self, services: Services) -> None:
        """Serve with these adapters."""
        self.services = services
