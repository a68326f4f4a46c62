"""Settings as rules and channels: what they mean, and what is refused in words."""

from __future__ import annotations

from typing import Any

import pytest

from infra.setting_sections.notifications import NotifySettings
from schemas.phases import ExecutionPhase
from schemas.values import ErrorKind
from workers.notifier.channel_checks import violations
from workers.notifier.policy import InvalidRuleError, policy

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SLACK = {"slack": {"url": "https://hooks.slack.com/services/T/B/x"}}
FULL = {
    **SLACK,
    "pagerduty": {"routing_key": "R" * 32},
    "webhook": {"url": "https://here/hook", "secret": KEY},
    "email": {"host": "mail", "sender": "a@b.org", "to": ["c@d.org"]},
    "channels": {"oncall": {"slack": {"url": "http://localhost:1/x"}}},
}


def settings(**given: Any) -> NotifySettings:
    """Return the settings of this table."""
    return NotifySettings.model_validate(given)


def rule(**given: Any) -> NotifySettings:
    """Return settings with one rule of the channel slack."""
    found = {"name": "r", "channels": ["slack"], "on": ["failed"], **given}
    mail = {"host": "mail", "sender": "a@b.org"}
    return settings(**SLACK, email=mail, rules=[found])


def test_channels_of_each_kind_are_found_by_name() -> None:
    """By the environment alone, and further ones by the file."""
    found = settings(**FULL)

    assert list(found.channel_settings) == [
        "slack", "email", "pagerduty", "webhook", "oncall",
    ]  # fmt: skip
    assert found.is_on
    assert not settings().is_on
    assert not list(violations(found))
    assert policy(found).resolving == {"pagerduty"}


def test_secrets_are_not_shown() -> None:
    """In no text of the settings."""
    text = repr(settings(**FULL))

    assert "services/T/B" not in text
    assert KEY not in text
    assert "R" * 32 not in text


def test_a_channel_without_rules_gets_two() -> None:
    """One that a rule names doesn't."""
    rules = [{"name": "r", "channels": ["slack"], "on": ["failed"]}]
    found = policy(settings(**FULL, rules=rules))

    names = [one.name for one in found.rules if "slack" in one.channels]
    assert names == ["r"]
    assert "oncall: failed" in {one.name for one in found.rules}


def test_rules_are_read() -> None:
    """Phases, moments, errors and times."""
    (found,) = policy(
        rule(
            on=["failed", "recovered", "parked", "first_failure", "system_retries"],
            project=["p*"],
            mode=["scheduled"],
            labels={"team": "x"},
            children=True,
            error_kind=["user"],
            error_code=["OOM*"],
            failures_in_a_row=3,
            running_longer_than="2h",
        )
    ).rules

    assert found.phases == (ExecutionPhase.FAILED,)
    assert found.recovered
    assert found.parked
    assert found.first_failure
    assert found.system_retries
    assert found.match.children
    assert found.error_kinds == (ErrorKind.USER,)
    assert found.running_us == 7_200_000_000
    (usual,) = policy(rule(running_longer_than="2.5x")).rules
    assert (usual.running_us, usual.running_factor) == (None, 2.5)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"channels": []}, "Expected channels, but it names none"),
        ({"channels": ["nobody"]}, r"that is set \(email, slack\), but got 'nobody'"),
        ({"on": []}, "Expected a moment"),
        ({"running_longer_than": "soon"}, "a duration like 2h or a factor like 3x"),
        ({"running_longer_than": "1x"}, "a factor like 3x"),
        ({"running_longer_than": "infx"}, "a factor like 3x"),
        ({"running_longer_than": "9999999d"}, "a duration like 2h"),
        ({"channels": ["email"]}, "that has recipients"),
    ],
)
def test_rules_that_cannot_be_used(given: dict[str, Any], wrong: str) -> None:
    """Each names the rule, and what is wrong."""
    with pytest.raises(InvalidRuleError, match=f"rule 'r': .*{wrong}"):
        policy(rule(**given))


def test_two_rules_of_one_name() -> None:
    """Deliveries and what is remembered go by it."""
    twice = [{"name": "r", "channels": ["slack"], "on": ["failed"]}] * 2
    with pytest.raises(InvalidRuleError, match="different names, but two are 'r'"):
        policy(settings(**SLACK, rules=twice))


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"slack": {"url": "http://hooks.slack.com/x"}}, "isn't encrypted"),
        ({"slack": {"url": "hooks.slack.com"}}, "like https://host/path"),
        ({"slack": {"url": "http://[x"}}, "like https://host/path"),
        ({"pagerduty": {"routing_key": "short"}}, "of 32 characters, but it has 5"),
        ({"webhook": {"url": "https://x/y", "secret": "abc"}}, "like whsec_"),
        ({"webhook": {"url": "https://x/y", "secret": "whsec_!!"}}, "like whsec_"),
        ({"email": {"host": "h"}}, "a sender like me@example.com"),
        (
            {"email": {"host": "h", "sender": "a@b", "username": "u"}},
            "a username with a password",
        ),
        (
            {
                "email": {
                    "host": "h", "sender": "a@b", "tls": "none", "username": "u",
                    "password": "secret",
                }
            },
            "Expected TLS",
        ),
        ({"channels": {"a b": SLACK}}, "a name of letters"),
    ],
)  # fmt: skip
def test_channels_that_cannot_be_used(given: dict[str, Any], wrong: str) -> None:
    """Said at the start; secrets aren't repeated."""
    (found,) = violations(settings(**given))

    assert wrong in found
    assert "secret" not in found.replace("Expected a secret", "")
