"""AdminService: launch plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyteidl.admin import launch_plan_pb2

from gateway.registry import launch_plans
from gateway.rpc.admin import versions
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import invalid, missing
from gateway.translate import registry as to_flyte
from projections.queries import registry
from projections.queries.executions import Page

_KIND = "LAUNCH_PLAN"


class LaunchPlanRpcs:
    """RPCs on launch plans."""

    services: Services

    async def CreateLaunchPlan(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Register a launch plan version."""
        await launch_plans.create_launch_plan(self.services, request)
        return launch_plan_pb2.LaunchPlanCreateResponse()

    async def UpdateLaunchPlan(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Activate or deactivate a launch plan version."""
        await launch_plans.update_launch_plan(self.services, request)
        return launch_plan_pb2.LaunchPlanUpdateResponse()

    async def GetLaunchPlan(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a launch plan version."""
        row = await versions.find(self.services, request.id, _KIND)
        return to_flyte.launch_plan(row)

    async def GetActiveLaunchPlan(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the active version of a launch plan."""
        at = request.id
        if not (at.project and at.domain and at.name):
            raise invalid("Expected project, domain and name, but one is empty")
        row = await registry.get_active_launch_plan(
            self.services.pool, at.project, at.domain, at.name
        )
        if row is None:
            text = f"{at.project}/{at.domain}/{at.name}"
            raise missing(_KIND, f"{text}: no active version")
        return to_flyte.launch_plan(row)

    async def ListLaunchPlans(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return launch plan versions."""
        return _list(*await versions.listed(self.services, _KIND, request))

    async def ListActiveLaunchPlans(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the active versions of a project and domain."""
        page = page_of(request)
        versions.check_place(request.project, request.domain)
        where = {"project": request.project, "domain": request.domain, "state": 1}
        rows = await versions.rows(self.services, _KIND, where, page)
        return _list(page, rows)

    async def ListLaunchPlanIds(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the names of launch plans."""
        return await versions.names(self.services, _KIND, request)


def _list(page: Page, rows: Sequence[dict[str, Any]]) -> Any:
    found = [to_flyte.launch_plan(row) for row in rows]
    token = next_token(page, rows)
    return launch_plan_pb2.LaunchPlanList(launch_plans=found, token=token)
