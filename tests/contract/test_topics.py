"""Topics that somebody else made or changed, on a real broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from msgspec.structs import replace

from gateway.cli.commands.log import topics as command
from infra.errors import PermanentError
from infra.eventlog.contract import Record
from infra.eventlog.kafka import topics
from infra.eventlog.kafka.clients import partition_for_key
from infra.eventlog.kafka.log import KafkaLog
from infra.setting_sections.storage import KafkaSettings, LogSettings
from infra.settings import Settings
from schemas import topics as t
from schemas.envelope import Envelope
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.wire import codec
from tests.contract.conftest import PARTITIONS, KafkaKind
from tests.contract.owning import assert_gapless
from tests.contract.records import event_record
from tests.support.engine import CREATE
from tests.support.harness.propeller_harness import Harness, stream_of

SEVERAL = (t.COMMANDS, t.EVENTS, t.SNAPSHOTS, t.DISPATCHES, t.ABORTS)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@asynccontextmanager
async def admin_of(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An operator's client."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def make_with_defaults(
    settings: KafkaSettings, overrides: Mapping[str, str] | None = None
) -> None:
    """Make the topics as an operator would who knows nothing about them."""
    async with admin_of(settings) as admin:
        reply = await admin.create_topics(
            [
                NewTopic(
                    settings.prefix + topic,
                    topics.partitions_of(topic, settings),
                    1,
                    topic_configs=dict(overrides or {}),
                )
                for topic in topics.ALL
            ]
        )
        assert not any(error[1] for error in reply.topic_errors)
    async with asyncio.timeout(10):
        while not all(s.partitions for s in await topics.describe(settings)):
            await asyncio.sleep(0.1)


async def configs_of(settings: KafkaSettings, topic: str) -> Mapping[str, str]:
    """The configuration of a topic, by its names."""
    async with admin_of(settings) as admin:
        name = settings.prefix + topic
        asked = [ConfigResource(ConfigResourceType.TOPIC, name)]
        (reply,) = await admin.describe_configs(asked)
    return {entry[0]: entry[1] for entry in reply.resources[0][4]}


async def add_partitions(
    settings: KafkaSettings, count: int, several: Sequence[str] = SEVERAL
) -> None:
    """Add partitions to topics that have several."""
    async with admin_of(settings) as admin:
        await admin.create_partitions(
            {settings.prefix + topic: NewPartitions(count) for topic in several}
        )
    async with asyncio.timeout(10):
        while any(
            s.partitions != count
            for s in await topics.describe(settings)
            if s.name in several
        ):
            await asyncio.sleep(0.1)


async def test_topics_with_the_brokers_defaults_are_refused(kafka: KafkaKind) -> None:
    """Events would expire, snapshots grow, messages be refused: all of it is named."""
    await make_with_defaults(kafka.settings)
    with pytest.raises(PermanentError, match="flightlog topics create") as refused:
        await KafkaLog(kafka.settings, LogSettings()).open()
    text = str(refused.value)
    events = text.partition(t.EVENTS)[2].partition(";")[0]
    assert "retention.ms=604800000 (expected -1)" in events
    assert "message.timestamp.type=CreateTime (expected LogAppendTime)" in events
    assert "max.message.bytes=1048588 (expected 8388608)" in events
    snapshots = text.partition(t.SNAPSHOTS)[2]
    assert "cleanup.policy=delete (expected compact)" in snapshots


async def test_topics_are_mended_and_it_is_said(
    kafka: KafkaKind, capsys: pytest.CaptureFixture[str]
) -> None:
    """What else an operator set stays; the second time there is nothing to do."""
    kept = {"segment.bytes": "16777216", "retention.bytes": "1000000"}
    await make_with_defaults(kafka.settings, kept)
    settings = Settings(kafka=kafka.settings)
    await command.create(settings, json=False)
    said = capsys.readouterr().out
    assert "created" not in said
    assert f"mended {t.EVENTS}: retention.ms was 604800000, is -1" in said
    assert f"mended {t.EVENTS}: retention.bytes was 1000000, is -1" in said
    assert f"mended {t.SNAPSHOTS}: cleanup.policy was delete, is compact" in said
    found = await configs_of(kafka.settings, t.EVENTS)
    assert (found["retention.ms"], found["segment.bytes"]) == ("-1", "16777216")
    snapshots = await configs_of(kafka.settings, t.SNAPSHOTS)
    assert snapshots["segment.bytes"] == "16777216"
    assert snapshots["segment.ms"] == "600000"
    await kafka.open()
    await command.create(settings, json=True)
    assert json.loads(capsys.readouterr().out) == {"created": []}


@pytest.mark.parametrize("count", [PARTITIONS - 1, PARTITIONS + 1])
async def test_another_number_of_partitions_is_an_error(
    kafka: KafkaKind, count: int
) -> None:
    """To create topics doesn't say then that all is well."""
    other = kafka.settings.model_copy(update={"partitions": count})
    await topics.create(other)
    with pytest.raises(PermanentError, match=f"but it has {count}"):
        await topics.create(kafka.settings)
    with pytest.raises(PermanentError, match=f"but it has {count}"):
        await KafkaLog(kafka.settings, LogSettings()).open()


async def test_a_look_at_topics_creates_none(kafka: KafkaKind) -> None:
    """A broker that creates what is asked for would create them with its defaults."""
    assert not any(s.partitions for s in await topics.describe(kafka.settings))
    await asyncio.sleep(1)
    assert not any(s.partitions for s in await topics.describe(kafka.settings))


async def test_partitions_that_are_added_move_no_stream(kafka: KafkaKind) -> None:
    """Streams go on where they are; what lies beyond is refused with an answer."""
    kafka.settings = kafka.settings.model_copy(update={"partitions": 2})
    log = await kafka.open()
    harness = Harness(log, folds=True)
    names = [f"p{number}" for number in range(8)]
    streams = [stream_of(name) for name in names]
    async with harness.propeller():
        await log.append([_to(s, replace(CREATE, name=n)) for s, n in _pairs(names)])
        for stream in streams:
            await harness.until_events(stream, e.ExecutionStarted)
        await add_partitions(kafka.settings, 3)
        await log._sender.client.force_metadata_update()
        stop = c.TerminateExecution(cause="enough", principal="me")
        await log.append([_to(stream, stop) for stream in streams[:4]])
        for stream in streams[:4]:
            await harness.until_events(stream, e.ExecutionAborted)

    again = await kafka.open()
    harness = Harness(again, folds=True)
    stray = replace(_to(streams[7], stop, name="stray"), partition=2)
    async with harness.propeller():
        await again.append([stray, *(_to(stream, stop) for stream in streams[4:7])])
        for stream in streams[4:7]:
            await harness.until_events(stream, e.ExecutionAborted)
        (dead,) = await harness.until_dead_letters(1)

    assert (dead.topic, dead.partition, dead.id) == (t.COMMANDS, 2, "stray")
    answer = (await harness.answers())["stray"]
    assert answer.reason == "INVALID_ARGUMENT"
    assert "but it is in 2" in answer.detail
    for stream in streams:
        await assert_gapless(again, stream)
    assert await again.positions("propeller", t.COMMANDS) != {}


async def test_added_partitions_that_hold_events_are_refused(kafka: KafkaKind) -> None:
    """The settings name fewer partitions than streams live on."""
    log = await kafka.open()
    await log.append(
        [replace(event_record(1), partition=number) for number in range(PARTITIONS)]
    )
    fewer = kafka.settings.model_copy(update={"partitions": 2})
    with pytest.raises(PermanentError, match="with 2 partitions, but it has 4"):
        await KafkaLog(fewer, LogSettings()).open()


async def test_streams_that_were_placed_otherwise_are_noticed(
    kafka: KafkaKind,
) -> None:
    """Somebody added partitions, and raised the number in the settings, too."""
    kafka.settings = kafka.settings.model_copy(update={"partitions": 2})
    log = await kafka.open()
    harness = Harness(log, folds=True)
    names = [f"p{number}" for number in range(8)]
    async with harness.propeller():
        await log.append([_to(s, replace(CREATE, name=n)) for s, n in _pairs(names)])
        for name in names:
            await harness.until_events(stream_of(name), e.ExecutionStarted)
    await add_partitions(kafka.settings, 3, (*SEVERAL, t.NOTIFICATIONS))
    kafka.settings = kafka.settings.model_copy(update={"partitions": 3})
    harness = Harness(await kafka.open(), folds=True)
    with pytest.raises(PermanentError, match=r"\(kafka\.partitions\) changed"):
        async with harness.propeller(), asyncio.timeout(30):
            await asyncio.wait([harness.running])


def test_a_key_has_the_partition_that_every_client_gives_it() -> None:
    """murmur2, as Java's default partitioner; by the configured number."""
    settings = KafkaSettings(partitions=5)
    found = [partition_for_key(t.COMMANDS, key, settings) for key in ("a", "b", "c")]
    assert found == [partition_for_key(t.EVENTS, key, settings) for key in "abc"]
    assert partition_for_key(t.DEAD_LETTERS, "b", settings) == 0


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    return [(stream_of(name), name) for name in names]


def _to(stream: str, command: c.Command, name: str = "") -> Record:
    kind = codec.type_name(command)
    return Record(
        topic=t.COMMANDS,
        key=stream,
        envelope=Envelope(
            id=name or f"{stream}/{kind}", type=kind, stream=stream, reply=True
        ),
        body=codec.encode(command),
    )
