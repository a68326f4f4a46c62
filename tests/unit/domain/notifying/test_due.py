"""What is due: deliveries by rules, subjects, annotations and Flyte's notifications."""

from __future__ import annotations

import pytest
from flyteidl.core.execution_pb2 import WorkflowExecution
from msgspec.structs import replace

from domain.notifying.due import Due, Policy, late_at_us
from domain.notifying.live_execution import LiveExecution
from domain.notifying.notice import Delivery
from domain.notifying.rules import FAILURES, Match, Rule, default_rules
from schemas.messages import execution_events as e
from schemas.messages.node_events import Event, NodeRetryScheduled
from schemas.phases import ExecutionPhase as Phase
from schemas.values import ErrorKind, Failure
from tests.support.notifying import (
    FAILURE,
    SECOND_US,
    failed,
    live,
    mail,
    succeeded,
)

SYSTEM = Failure(code="Evicted", message="gone", kind="SYSTEM")
ABORTED = e.ExecutionAborted(occurred_at_us=1, cause="enough", principal="me")
TIMED_OUT = e.ExecutionTimedOut(occurred_at_us=1, failure=FAILURE)
CHANNELS = frozenset({"slack", "pagerduty", "email"})


def policy(*rules: Rule, **changes: object) -> Policy:
    """Return a policy of three channels, one of which resolves alerts."""
    found = Policy(
        channels=CHANNELS,
        rules=rules,
        resolving=frozenset({"pagerduty"}),
        mail="email",
    )
    return found if not changes else Policy(**{**vars_of(found), **changes})  # type: ignore[arg-type]


def vars_of(found: Policy) -> dict[str, object]:
    """Return a policy's fields."""
    return {name: getattr(found, name) for name in Policy.__slots__}


def rule(**of: object) -> Rule:
    """Return a rule of the channel slack."""
    return Rule(**{"name": "r", "channels": ("slack",), **of})  # type: ignore[arg-type]


def due_of(found: Policy, *ends: tuple[LiveExecution, Event]) -> list[Delivery]:
    """Return what is due after executions have ended, one after the other."""
    due = Due(policy=found)
    for one, event in ends:
        due.take(one, event, f"execution/{one.execution.text()}/9")
    return due.deliveries


def told(
    found: Policy, *ends: tuple[LiveExecution, Event]
) -> list[tuple[str, str, str]]:
    """Return channel, action and reason of each delivery."""
    return [(d.channel, d.action, d.notice.reason) for d in due_of(found, *ends)]


@pytest.mark.parametrize(
    ("event", "count"), [(failed(), 1), (TIMED_OUT, 1), (succeeded(), 0), (ABORTED, 0)]
)
def test_a_channel_without_rules_is_told_of_failures(event: Event, count: int) -> None:
    """An abort isn't a failure, and a success is no news."""
    found = due_of(policy(*default_rules("slack")), (live(), event))

    assert len(found) == count
    assert all(d.id == "execution/p/d/one/9/slack: failed/slack" for d in found)


def test_late_executions_are_told_of_once_for_each_rule() -> None:
    """The default is a day; ids don't depend on when that is seen."""
    found = policy(*default_rules("slack"))
    running, due = live(), Due(policy=found)

    late_us = late_at_us(found, running, {})
    assert late_us == SECOND_US + 24 * 3600 * SECOND_US
    for now_us in (late_us - 1, late_us, late_us + 9):
        due.take_late(running, now_us)

    assert {d.id for d in due.deliveries} == {
        "execution/p/d/one/running_long/slack: running for a day/slack"
    }
    assert late_at_us(found, running, {}, after_us=late_us) is None


def test_the_usual_time_is_that_of_successes() -> None:
    """Three times as long as usual is known once five have succeeded."""
    found = policy(rule(running_factor=3.0))
    due = Due(policy=found)
    for number in range(4):
        due.take(live(), succeeded(3 * SECOND_US), f"x/{number}")
        assert late_at_us(found, live(), due.subjects) is None
    due.take(live(), failed(90 * SECOND_US), "x/failed")
    due.take(live(), succeeded(3 * SECOND_US), "x/5")

    assert late_at_us(found, live(), due.subjects) == SECOND_US + 3 * 2 * SECOND_US


def test_first_failures_and_recoveries() -> None:
    """Of several failures in a row the first is told, and the success after them."""
    found = policy(rule(first_failure=True, recovered=True))
    ends = [
        (live(), event)
        for event in (failed(), failed(), ABORTED, succeeded(), succeeded(), failed())
    ]

    assert [reason for _, _, reason in told(found, *ends)] == [
        "first_failure", "recovered", "first_failure",
    ]  # fmt: skip


def test_failures_in_a_row_are_counted_for_each_launch_plan() -> None:
    """The third in a row is told, the fourth isn't; another plan has its own count."""
    found = policy(rule(failures_in_a_row=3))
    one, other = live(), live(launch_plan="flows.other")

    deliveries = due_of(
        found, *[(one, failed())] * 2, (other, failed()), *[(one, failed(9))] * 2
    )

    assert [d.notice.failures for d in deliveries] == [3]
    assert deliveries[0].subject == "r/p/d/flows.wf"


def test_a_success_resolves_an_alert_that_is_open() -> None:
    """PagerDuty isn't told of a success, and a second one resolves nothing."""
    found = policy(
        rule(channels=("pagerduty", "slack"), phases=(*FAILURES, Phase.SUCCEEDED))
    )
    ends = [
        (live(), event)
        for event in (succeeded(), failed(), failed(), succeeded(), succeeded())
    ]

    assert [(c, a) for c, a, _ in told(found, *ends) if c == "pagerduty"] == [
        ("pagerduty", "tell"), ("pagerduty", "tell"), ("pagerduty", "resolve"),
    ]  # fmt: skip


def test_what_is_late_is_resolved_by_a_success_too() -> None:
    """An alert because of a long run is closed when the run succeeds."""
    due = Due(policy=policy(rule(channels=("pagerduty",), running_us=1)))
    due.take_late(live(), 10 * SECOND_US)
    due.take(live(), succeeded(), "x/9")

    assert [d.action for d in due.deliveries] == ["tell", "resolve"]


@pytest.mark.parametrize(
    ("of", "matches"),
    [
        ({}, True),
        ({"projects": ("p", "q")}, True),
        ({"projects": ("q",)}, False),
        ({"domains": ("prod*",)}, False),
        ({"workflows": ("flows.*",)}, True),
        ({"launch_plans": ("*.other",)}, False),
        ({"labels": {"team": "data*"}}, True),
        ({"labels": {"team": "web"}}, False),
        ({"labels": {"none": "*"}}, False),
        ({"modes": ("scheduled",)}, False),
        ({"modes": ("manual",)}, True),
    ],
)
def test_rules_are_about_some_executions(of: dict[str, object], matches: bool) -> None:
    """All that a rule asks must be so; patterns take `*` and `?`."""
    found = policy(rule(phases=FAILURES, match=Match(**of)))  # type: ignore[arg-type]

    assert bool(told(found, (live(labels={"team": "data-1"}), failed()))) is matches
    assert found.concerns(live(labels={"team": "data-1"})) is matches


def test_children_are_told_of_only_if_asked() -> None:
    """A rule is about root executions."""
    child = live(parent="above")

    assert not told(policy(rule(phases=FAILURES)), (child, failed()))
    asked = rule(phases=FAILURES, match=Match(children=True))
    assert told(policy(asked), (child, failed()))


@pytest.mark.parametrize(
    ("of", "failure", "matches"),
    [
        ({"error_kinds": (ErrorKind.SYSTEM,)}, FAILURE, False),
        ({"error_kinds": (ErrorKind.SYSTEM,)}, SYSTEM, True),
        ({"error_codes": ("USER:*",)}, FAILURE, True),
        ({"error_codes": ("USER:*",)}, SYSTEM, False),
    ],
)
def test_rules_ask_for_errors(
    of: dict[str, object], failure: Failure, matches: bool
) -> None:
    """By kind, and by patterns of codes."""
    found = policy(rule(phases=FAILURES, **of))

    assert bool(told(found, (live(), failed(failure=failure)))) is matches


def test_retries_used_up_by_system_errors() -> None:
    """Told of if system errors were among what was retried."""
    found = policy(rule(system_retries=True))
    retry = NodeRetryScheduled(
        occurred_at_us=2, node_id="n0", attempt=0, failure=SYSTEM
    )
    user = replace(retry, failure=FAILURE)

    assert not told(found, (live().after(user), failed()))
    assert told(found, (live().after(retry), failed())) == [
        ("slack", "tell", "system_retries")
    ]


def test_parked_executions() -> None:
    """An operator hears of what takes no commands."""
    event = e.StreamParked(
        occurred_at_us=4, command_id="c", command_type="T", error="oh"
    )
    (found,) = due_of(policy(rule(parked=True)), (live(), event))

    assert (found.notice.reason, found.notice.error) == ("parked", "oh")


def test_annotations_reach_channels_by_name() -> None:
    """What the plan's author asks for, beside the operator's rules."""
    one = live(asks="slack on failed; pagerduty on timed_out; email late 30m")
    found = policy()

    assert told(found, (one, failed())) == [("slack", "tell", "ended")]
    assert told(found, (one, TIMED_OUT)) == [("pagerduty", "tell", "ended")]
    assert late_at_us(found, one, {}) == SECOND_US + 1800 * SECOND_US


def test_what_asks_for_a_channel_that_is_gone_is_kept_as_undeliverable() -> None:
    """It was set when the plan was registered."""
    (found,) = due_of(policy(), (live(asks="gone on failed"), failed()))

    assert found.refused == "Expected a channel that is set, but 'gone' isn't"


def test_flytes_own_notifications() -> None:
    """A mail for each that wants the phase; FAILED covers TIMED_OUT, once."""
    ends = WorkflowExecution
    one = live(
        mails=(
            mail(ends.FAILED, ends.TIMED_OUT, to="x@y.z", template="<b>no</b>"),
            mail(ends.FAILED),
            mail(ends.SUCCEEDED),
        )
    )
    found = due_of(policy(), (one, TIMED_OUT))

    assert [(d.channel, d.rule) for d in found] == [
        ("email", "notification 0"), ("email", "notification 1"),
    ]  # fmt: skip
    asked = found[0].notice.mail
    assert asked is not None
    assert (asked.recipients, asked.template) == (("x@y.z",), "<b>no</b>")


def test_mail_that_may_not_go_there_any_more_is_refused() -> None:
    """The plan was registered before domains were limited."""
    limited = Policy(
        channels=CHANNELS, mail="email", mail_domains=frozenset({"corp.com"})
    )
    one = live(mails=(mail(WorkflowExecution.FAILED, to="x@evil.com"),))
    (found,) = due_of(limited, (one, failed()))

    assert "Expected a recipient at corp.com" in found.refused


def test_two_channels_of_one_annotation_count_an_end_once_each() -> None:
    """Neither hears of two failures after the first."""
    found = due_of(
        policy(), (live(asks="slack on failed; pagerduty on failed"), failed())
    )

    assert [one.notice.failures for one in found] == [1, 1]
