"""The decider of one project (ref §14)."""

from __future__ import annotations

from collections.abc import Sequence

from flyteidl.admin import project_pb2

from domain.registry.identity import check_parts, invalid, is_label
from schemas.messages.registry_events import ProjectRegistered, ProjectReplaced
from schemas.messages.rejections import Reason, Rejected

NAME_MAX = 64
DESCRIPTION_MAX = 300
LABELS_MAX = 16
Event = ProjectRegistered | ProjectReplaced


def register(
    known: Sequence[Event], project: project_pb2.Project, *, now_us: int
) -> Sequence[Event] | Rejected:
    """Register a project."""
    refused = _check(project)
    if refused is not None:
        return refused
    if known:
        detail = f"Expected project '{project.id}' to be new, but it already exists"
        return Rejected(Reason.ALREADY_EXISTS, detail)
    data = project.SerializeToString(deterministic=True)
    return (
        ProjectRegistered(occurred_at_us=now_us, project_id=project.id, project=data),
    )


def replace(
    known: Sequence[Event], project: project_pb2.Project, *, now_us: int
) -> Sequence[Event] | Rejected:
    """Replace a project's name, description, labels and state."""
    if not known:
        detail = f"missing entity of type PROJECT with identifier {project.id}"
        return Rejected(Reason.NOT_FOUND, detail)
    refused = _check(project)
    if refused is not None:
        return refused
    data = project.SerializeToString(deterministic=True)
    if known[-1].project == data:
        return ()
    return (
        ProjectReplaced(occurred_at_us=now_us, project_id=project.id, project=data),
    )


def _check(project: project_pb2.Project) -> Rejected | None:
    if not is_label(project.id):
        return invalid(f"Expected a project id as a DNS label, but got '{project.id}'")
    if len(project.name) > NAME_MAX:
        return invalid(
            f"Expected a name of at most {NAME_MAX} characters, but it is longer"
        )
    if len(project.description) > DESCRIPTION_MAX:
        return invalid(
            f"Expected a description of at most {DESCRIPTION_MAX} characters, "
            "but it is longer"
        )
    if project.domains:
        return invalid("Expected no domains, but the server's own are the only ones")
    if len(project.labels.values) > LABELS_MAX:
        return invalid(f"Expected at most {LABELS_MAX} labels, but there are more")
    return check_parts(
        ("label", text) for label in project.labels.values.items() for text in label
    )


def new_project(identifier: str, name: str) -> project_pb2.Project:
    """Return a project of this id."""
    return project_pb2.Project(id=identifier, name=name)
