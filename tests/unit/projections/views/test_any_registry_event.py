"""Any event of the registry, on a real Postgres: a row, or a refusal of its values."""

from __future__ import annotations

import secrets
from typing import Any, get_args

import psycopg
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from infra.postgres.failures import Failure, failure_of
from infra.postgres.pool import Pool
from projections.queries.registry import apply_registry
from schemas.messages import registry_events as r
from tests.support.messages import example, messages_of
from tests.unit.projections.projector.test_any_event import extreme

EVENTS: list[Any] = list(get_args(r.RegistryEvent))


def any_event() -> st.SearchStrategy[Any]:
    """Return a strategy for any event of any class."""
    return st.sampled_from(EVENTS).flatmap(
        lambda cls: st.one_of(extreme(example(cls)), messages_of(cls))
    )


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(event=any_event())
def test_no_event_is_taken_for_an_outage(pool: Pool, event: Any) -> None:
    """Its sender is told that the values can't be stored, and not to try again."""
    with psycopg.connect(str(pool.conninfo)) as conn:
        try:
            apply_registry(conn.cursor(), event)
        except DecodeError:
            assert isinstance(event, r.ProjectRegistered | r.ProjectReplaced)
        except psycopg.Error as error:
            assert failure_of(error) is Failure.ROW, error
        conn.rollback()


def test_a_long_name_is_refused(pool: Pool) -> None:
    """It is the values' fault, which psycopg's class doesn't say."""
    long = secrets.token_hex(5_000)
    event = replace(example(r.NamedEntityDescribed), state=0, name=long)
    refusal = pytest.raises(psycopg.OperationalError)
    with refusal as refused, psycopg.connect(str(pool.conninfo)) as conn:
        apply_registry(conn.cursor(), event)

    assert failure_of(refused.value) is Failure.ROW
