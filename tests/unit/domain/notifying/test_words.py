"""Words: what happened, in plain text, short enough to be read at night."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.notifying.notice import Notice, Reason, message_id
from domain.notifying.words import ERROR_CHARACTERS, span, words
from schemas.phases import ExecutionPhase as Phase
from schemas.values import Failure
from tests.support.notifying import FAILURE, SECOND_US, live

NOTICE = Notice(
    reason="ended",
    live=live(),
    at_us=4 * SECOND_US,
    phase=Phase.FAILED,
    failure=FAILURE,
)
FLYTEKIT = (
    "Trace:\n\n    Traceback (most recent call last):\n      File x\n"
    "    ValueError: too big\n\nMessage:\n\n    ValueError: too big"
)


@pytest.mark.parametrize(
    ("of", "title"),
    [
        ({}, "flows.wf (p/d) failed: one"),
        ({"phase": Phase.TIMED_OUT}, "flows.wf (p/d) timed out: one"),
        ({"phase": Phase.SUCCEEDED}, "flows.wf (p/d) succeeded: one"),
        ({"reason": "recovered", "failures": 2}, "works again after 2 failures: one"),
        ({"reason": "recovered", "failures": 1}, "works again after 1 failure: one"),
        ({"reason": "failures_in_a_row", "failures": 3}, "failed 3 times in a row"),
        ({"reason": "first_failure"}, "failed, after it had worked: one"),
        ({"reason": "running_long", "limit_us": 7_260 * SECOND_US}, "over 2 h 1 min"),
        ({"reason": "parked"}, "is parked: one"),
        ({"reason": "system_retries"}, "after retries for system errors: one"),
        ({"reason": "test"}, "a test of a channel"),
    ],
)
def test_titles_say_what_happened(of: dict[str, object], title: str) -> None:
    """And to what."""
    assert title in words(replace(NOTICE, **of), "r", "").title


def test_fields_say_what_to_look_at() -> None:
    """The error, how long it ran and usually runs, since when it fails."""
    found = words(
        replace(NOTICE, failures=3, failing_since_us=SECOND_US, usual_us=2 * SECOND_US),
        "my rule",
        "https://here",
    )

    assert dict(found.fields) == {
        "execution": "p/d/one",
        "error": "USER:ValueError (user)",
        "ran for": "3.0 s",
        "usually": "2.0 s",
        "failing since": "1970-01-01T00:00:01.000Z (3 failures)",
        "started by": "me",
        "rule": "my rule",
    }
    assert found.links[0].url == "https://here/api/v1/executions/p/d/one"


def test_flytekits_message_comes_before_its_trace() -> None:
    """A phone shows the beginning."""
    failure = Failure(code="x", message=FLYTEKIT, kind="USER")
    found = words(replace(NOTICE, failure=failure), "r", "")

    assert found.text.startswith("ValueError: too big\n\nTrace:")


@given(st.text(), st.sampled_from(["ended", "parked", "recovered", "running_long"]))
def test_any_error_has_words(text: str, reason: Reason) -> None:
    """Of bounded length, whatever it is."""
    failure = Failure(code="x", message=text * 50, kind="USER")
    found = words(replace(NOTICE, failure=failure, reason=reason), "r", "")

    assert len(found.text) <= ERROR_CHARACTERS + 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "0.5 s"),
        (42, "42 s"),
        (61, "1 min 1 s"),
        (7_200, "2 h 0 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    """Two units at most."""
    assert span(round(seconds * SECOND_US)) == text


def test_message_ids_have_no_dots() -> None:
    """Dots separate what a webhook's signature is made of."""
    found = message_id("execution/p/d/n.x/3/r/slack")

    assert found == message_id("execution/p/d/n.x/3/r/slack")
    assert "." not in found
    assert len(found) == 36
