"""AdminService: projects, domains, the server's version."""

from __future__ import annotations

from flyteidl.admin import project_pb2, version_pb2

from gateway.registry import projects
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import accepted, missing
from gateway.services.handlers import CallContext
from gateway.version import version
from projections.queries import registry


class ProjectRpcs:
    """RPCs on projects."""

    services: Services

    async def RegisterProject(
        self, request: project_pb2.ProjectRegisterRequest, _context: CallContext
    ) -> project_pb2.ProjectRegisterResponse:
        """Register a project."""
        await projects.create_project(self.services, request.project)
        return project_pb2.ProjectRegisterResponse()

    async def UpdateProject(
        self, request: project_pb2.Project, _context: CallContext
    ) -> project_pb2.ProjectUpdateResponse:
        """Replace a project's name, description, labels and state."""
        await projects.update_project(self.services, request)
        return project_pb2.ProjectUpdateResponse()

    async def GetProject(
        self, request: project_pb2.ProjectGetRequest, _context: CallContext
    ) -> project_pb2.Project:
        """Return a project."""
        found = await registry.get_project(self.services.pool, request.id)
        if found is None:
            raise missing("PROJECT", request.id)
        return self._with_domains(found)

    async def ListProjects(
        self, request: project_pb2.ProjectListRequest, _context: CallContext
    ) -> project_pb2.Projects:
        """Return projects; a limit of 0 is no limit (ref §1.3)."""
        page = page_of(request, needs_limit=False)
        found = accepted(await registry.list_projects(self.services.pool, page))
        return project_pb2.Projects(
            projects=[self._with_domains(project) for project in found],
            token=next_token(page, found),
        )

    async def GetDomains(
        self, _request: project_pb2.GetDomainRequest, _context: CallContext
    ) -> project_pb2.GetDomainsResponse:
        """Return the server's domains."""
        return project_pb2.GetDomainsResponse(domains=self._domains())

    async def GetVersion(
        self, _request: version_pb2.GetVersionRequest, _context: CallContext
    ) -> version_pb2.GetVersionResponse:
        """Return this server's version."""
        found = version_pb2.Version(Build="flightlog", Version=version())
        return version_pb2.GetVersionResponse(control_plane_version=found)

    def _domains(self) -> list[project_pb2.Domain]:
        return [
            project_pb2.Domain(id=domain, name=domain)
            for domain in self.services.settings.domains
        ]

    def _with_domains(self, project: project_pb2.Project) -> project_pb2.Project:
        project.domains.extend(self._domains())
        return project
