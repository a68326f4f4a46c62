"""AdminService: launch plans."""

from __future__ import annotations

from collections.abc import Sequence

from flyteidl.admin import common_pb2, launch_plan_pb2

from gateway.registry import launch_plans
from gateway.rpc.admin import versions
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import invalid, missing
from gateway.services.handlers import CallContext
from gateway.translate.registry import to_launch_plan
from projections.queries import registry
from projections.queries.page import Page
from projections.registry_rows import LaunchPlanVersionRow

_KIND = registry.LAUNCH_PLANS


class LaunchPlanRpcs:
    """RPCs on launch plans."""

    services: Services

    async def CreateLaunchPlan(
        self, request: launch_plan_pb2.LaunchPlanCreateRequest, _context: CallContext
    ) -> launch_plan_pb2.LaunchPlanCreateResponse:
        """Register a launch plan version."""
        await launch_plans.create_launch_plan(self.services, request)
        return launch_plan_pb2.LaunchPlanCreateResponse()

    async def UpdateLaunchPlan(
        self, request: launch_plan_pb2.LaunchPlanUpdateRequest, _context: CallContext
    ) -> launch_plan_pb2.LaunchPlanUpdateResponse:
        """Activate or deactivate a launch plan version."""
        await launch_plans.update_launch_plan(self.services, request)
        return launch_plan_pb2.LaunchPlanUpdateResponse()

    async def GetLaunchPlan(
        self, request: common_pb2.ObjectGetRequest, _context: CallContext
    ) -> launch_plan_pb2.LaunchPlan:
        """Return a launch plan version."""
        row = await versions.find(self.services, request.id, _KIND)
        return to_launch_plan(row)

    async def GetActiveLaunchPlan(
        self, request: launch_plan_pb2.ActiveLaunchPlanRequest, _context: CallContext
    ) -> launch_plan_pb2.LaunchPlan:
        """Return the active version of a launch plan."""
        at = request.id
        if not (at.project and at.domain and at.name):
            raise invalid("Expected project, domain and name, but one is empty")
        row = await registry.get_active_launch_plan(
            self.services.pool, at.project, at.domain, at.name
        )
        if row is None:
            text = f"{at.project}/{at.domain}/{at.name}"
            raise missing(_KIND.name, f"{text}: no active version")
        return to_launch_plan(row)

    async def ListLaunchPlans(
        self, request: common_pb2.ResourceListRequest, _context: CallContext
    ) -> launch_plan_pb2.LaunchPlanList:
        """Return launch plan versions."""
        return _list(*await versions.listed(self.services, _KIND, request))

    async def ListActiveLaunchPlans(
        self,
        request: launch_plan_pb2.ActiveLaunchPlanListRequest,
        _context: CallContext,
    ) -> launch_plan_pb2.LaunchPlanList:
        """Return the active versions of a project and domain."""
        page = page_of(
            common_pb2.ResourceListRequest(  # The same but for filters.
                limit=request.limit, token=request.token, sort_by=request.sort_by
            )
        )
        versions.check_place(request.project, request.domain)
        where: dict[str, str | int] = {
            "project": request.project,
            "domain": request.domain,
            "state": launch_plan_pb2.ACTIVE,
        }
        rows = await versions.rows(self.services, _KIND, where, page)
        return _list(page, rows)

    async def ListLaunchPlanIds(
        self,
        request: common_pb2.NamedEntityIdentifierListRequest,
        _context: CallContext,
    ) -> common_pb2.NamedEntityIdentifierList:
        """Return the names of launch plans."""
        return await versions.names(self.services, _KIND, request)


def _list(
    page: Page, rows: Sequence[LaunchPlanVersionRow]
) -> launch_plan_pb2.LaunchPlanList:
    plans = [to_launch_plan(row) for row in rows]
    token = next_token(page, rows)
    return launch_plan_pb2.LaunchPlanList(launch_plans=plans, token=token)
