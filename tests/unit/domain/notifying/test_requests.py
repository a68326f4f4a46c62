"""What launch plans and requests may ask for: notifications and the annotation."""

from __future__ import annotations

import pytest
from flyteidl.admin import common_pb2
from flyteidl.core.execution_pb2 import WorkflowExecution
from hypothesis import given
from hypothesis import strategies as st

from domain.notifying.annotation import Subscription, subscriptions
from domain.notifying.requests import Reachable, violation
from schemas.phases import ExecutionPhase as Phase
from tests.support.notifying import NOTIFY, SECOND_US, mail

FAILED = WorkflowExecution.FAILED
REACHABLE = Reachable(channels=frozenset({"oncall"}))


@pytest.mark.parametrize(
    ("notification", "wrong"),
    [
        (mail(FAILED), None),
        (mail(), None),
        (common_pb2.Notification(phases=[FAILED]), "by e-mail, Slack or PagerDuty"),
        (
            common_pb2.Notification(slack=common_pb2.SlackNotification()),
            "with recipients, but it has none",
        ),
        (mail(FAILED, to=" "), "but one is empty"),
        (mail(FAILED, to="a@b.c\r\nBcc: all@b.c"), "without line breaks"),
        (mail(WorkflowExecution.RUNNING), "of terminal phases"),
        (mail(WorkflowExecution.RUNNING, to=""), "but one is empty"),
    ],
)
def test_notifications_are_checked_as_flyte_does(
    notification: common_pb2.Notification, wrong: str | None
) -> None:
    """Kind and recipients first, then phases."""
    found = violation([notification], {}, REACHABLE)

    assert (found is None) if wrong is None else wrong in str(found)


@pytest.mark.parametrize(
    ("recipient", "allowed"),
    [
        ("a@x.org", True),
        ("A <a@X.org>", True),
        ("a@y.org", False),
        ("x.org", False),
        ("a@y.org,b@x.org", False),
        ("a@y.org <b@x.org", False),
        ("<a@y.org> @x.org", False),
    ],
)
def test_mail_goes_to_allowed_domains_only(recipient: str, allowed: bool) -> None:
    """Otherwise a plan's author could send mail to anybody."""
    limited = Reachable(mail_domains=frozenset({"x.org"}))

    assert (violation([mail(FAILED, to=recipient)], {}, limited) is None) is allowed


def test_annotations_are_read() -> None:
    """Channels by name, with phases or a time."""
    assert subscriptions("oncall on failed, TIMED_OUT; team late 1h30m;") == (
        Subscription(channel="oncall", phases=(Phase.FAILED, Phase.TIMED_OUT)),
        Subscription(channel="team", late_us=5400 * SECOND_US),
    )


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("oncall on failed", None),
        ("", "it is empty"),
        ("oncall", "to be 'CHANNEL on PHASE"),
        ("oncall on running", "a phase of aborted, failed"),
        ("oncall late soon", "a duration like 90s"),
        ("oncall late 999999999d", "a duration like 90s"),
        ("nobody on failed", "that is set (oncall), but got 'nobody'"),
        (";".join(["oncall on failed"] * 21), "at most 20"),
    ],
)
def test_annotations_that_cannot_be_read_are_refused(
    text: str, wrong: str | None
) -> None:
    """In words, where they are given."""
    found = violation([], {NOTIFY: text}, REACHABLE)

    assert (found is None) if wrong is None else wrong in str(found)


@given(st.text())
def test_any_annotation_is_read_or_refused(text: str) -> None:
    """Nothing raises."""
    violation([], {NOTIFY: text}, REACHABLE)
