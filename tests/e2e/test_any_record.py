"""Any record on any topic of a real Kafka, read by every role: it costs itself only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig
from flytekit.exceptions.user import FlyteEntityAlreadyExistsException
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from infra.eventlog.kafka.records import headers_of
from schemas import topics
from schemas.envelope import Envelope
from schemas.wire import codec, registry
from tests.chaos.load import asked
from tests.endurance.duration import chosen
from tests.support.harness.distributed import PROPELLER, Distributed, distributed
from tests.support.harness.unmeasured import UNMEASURED
from tests.support.messages import messages_of
from tests.support.raw import create, register_layers, wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SEED = 20261129
FUZZED_S = chosen(30, 600)
TOPICS = (
    topics.COMMANDS, topics.EVENTS, topics.DISPATCHES, topics.ABORTS, topics.SNAPSHOTS,
    topics.REGISTRY, topics.NOTIFICATIONS, topics.DEAD_LETTERS,
)  # fmt: skip
STREAMS = [f"execution/flytesnacks/development/fuzzed-{n}" for n in range(8)]
_CREATED_S = 60.0
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_TIMES = st.one_of(st.just(0), st.integers(0, 2**51))


class TimeUpError(Exception):
    """There were records for as long as there should be: hypothesis stops by it."""


@st.composite
def bodies(draw: st.DrawFn, topic: str) -> bytes | None:
    """A message of any class, cut or changed; other bytes; or none.

    On the topic of events it is whole: bytes that nobody can decode stop their readers
    there, on purpose (ADR 21).
    """
    whole = codec.encode(draw(st.sampled_from(registry.CLASSES).flatmap(messages_of)))
    if topic == topics.EVENTS:
        return whole
    at = draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([draw(st.integers(0, 255))]) + whole[at + 1 :]
    found = [whole, whole, whole, whole[:at], changed, b"", b"\xc3\x01", None]
    return draw(st.sampled_from(found))


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of a producer's `send`, without the topic's prefix."""
    topic = draw(st.sampled_from(TOPICS))
    stream = draw(st.one_of(st.sampled_from(STREAMS), _TEXT))
    envelope = Envelope(
        id=draw(_TEXT),
        type=draw(_TEXT),
        stream=stream,
        sequence=draw(st.integers(0, 5)),
        recorded_at_us=draw(_TIMES),
        reply=draw(st.booleans()),
    )
    return {
        "topic": topic,
        "key": draw(st.one_of(st.just(stream), _TEXT)).encode(),
        "value": draw(bodies(topic)),
        "headers": headers_of(envelope) if draw(st.booleans()) else [],
    }


@pytest.fixture
def roles() -> Iterator[Distributed]:
    """One process of each role, which runs no code."""
    with distributed(FLIGHTLOG_PLUGIN="echo", **UNMEASURED) as found:
        yield found


async def publish(roles: Distributed, drawn: list[dict[str, Any]]) -> None:
    """Send records as any program could."""
    servers = roles.kafka.bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for record in drawn:
            topic = roles.kafka.prefix + record["topic"]
            await producer.send(**record | {"topic": topic})
        await producer.flush()


def created(client: SynchronousFlyteClient) -> str:
    """Create an execution, unless it was by a call whose answer got lost."""
    with suppress(FlyteEntityAlreadyExistsException):
        create(client, "layers", "after")
    return "after"


def test_any_record_costs_itself_only(roles: Distributed) -> None:
    """Every process goes on, the propeller after a restart, too; work ends right."""
    platform = PlatformConfig(endpoint=roles.endpoint, insecure=True)
    client = SynchronousFlyteClient(platform)
    register_layers(client, "layers", layers=3, width=2)
    until, sent = time.monotonic() + FUZZED_S, [0]

    @seed(SEED)
    @settings(
        max_examples=100_000,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(records(), min_size=20, max_size=40))
    def fuzz(drawn: list[dict[str, Any]]) -> None:
        if time.monotonic() > until:
            raise TimeUpError
        asyncio.run(publish(roles, drawn))
        sent[0] += len(drawn)

    with pytest.raises(TimeUpError):
        fuzz()
    ended = {role.role: role.tail() for role in roles.roles if role.has_ended}
    assert ended == {}, "\n".join(ended.values())
    (propeller,) = roles.of(PROPELLER)
    propeller.kill()
    propeller.start()
    propeller.wait()
    name = asked(partial(created, client), _CREATED_S)
    assert wait(client, name, 60) == "SUCCEEDED"
    assert not [role.role for role in roles.roles if role.has_ended]
    assert sent[0] > FUZZED_S
