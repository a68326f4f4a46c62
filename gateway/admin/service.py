"""AdminService as one servicer, made of its themes."""

from __future__ import annotations

from flyteidl.service import admin_pb2_grpc

from gateway.admin.attributes import AttributeRpcs
from gateway.admin.executions import ExecutionRpcs
from gateway.admin.projects import ProjectRpcs
from gateway.admin.registry import RegistryRpcs
from gateway.errors import guarded
from gateway.services import Services


@guarded
class Admin(
    RegistryRpcs,
    ExecutionRpcs,
    ProjectRpcs,
    AttributeRpcs,
    admin_pb2_grpc.AdminServiceServicer,  # type: ignore[misc]
):
    """flyteidl.service.AdminService."""

    def __init__(self, services: Services) -> None:
        """Serve with these adapters."""
        self.services = services
