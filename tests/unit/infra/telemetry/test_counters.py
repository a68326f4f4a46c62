"""Metrics are named by Prometheus' rules."""

from __future__ import annotations

import re

import pytest

from infra.telemetry import counters
from infra.telemetry.counters import Metric

METRICS = [value for value in vars(counters).values() if isinstance(value, Metric)]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_has_a_name_by_the_rules(metric: Metric) -> None:
    """The engine's prefix, lower case, and a sentence that says what it is."""
    assert re.fullmatch(r"flightlog_[a-z]+(_[a-z]+)*", metric.name)
    assert re.fullmatch(r"[A-Z0-9].+\.", metric.description)


def test_names_are_unique() -> None:
    """One name for one thing."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_a_counter_is_told_from_a_gauge_by_its_name() -> None:
    """Only a counter's name ends in `_total`."""
    assert counters.DEAD_LETTERS.is_counter
    assert not counters.EXECUTIONS_ACTIVE.is_counter
