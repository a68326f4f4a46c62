"""The sender: claims, sends and marks, by real rows and a channel that says what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
import pytest
from msgspec.structs import replace

from domain.notifying.mails import Mail
from domain.notifying.notice import Action, Delivery, Notice
from infra.postgres.pool import Pool
from projections.notification_rows import DeliveryRow, DeliveryState
from projections.queries import deliveries
from projections.views.changes import time_of
from schemas.phases import ExecutionPhase
from tests.support.clocks import SteppedClock
from tests.support.engine import NOON_US
from tests.support.notifying import FAILURE, SECOND_US, live
from workers.notifier import store
from workers.notifier.channels.contract import Answer, Message, Result
from workers.notifier.sender import Limits, Sender

SENT, RETRY, WAIT, REFUSED, GONE, UNKNOWN = Result
DUE, CLAIMED = DeliveryState.DUE, DeliveryState.CLAIMED


@dataclass
class Scripted:
    """A channel that answers as a test says, the last answer again and again."""

    answers: list[Answer] = field(default_factory=list)
    is_ordered: bool = False
    got: list[Message] = field(default_factory=list)
    before: Callable[[], None] = lambda: None

    async def send(self, message: Message) -> Answer:
        """Answer."""
        self.got.append(message)
        self.before()
        if len(self.answers) > 1:
            return self.answers.pop(0)
        return self.answers[0] if self.answers else Answer(result=SENT)


@dataclass
class Sending:
    """A sender whose time a test moves on."""

    pool: Pool
    channel: Scripted
    clock: SteppedClock = field(default_factory=SteppedClock)
    owner: str = "me"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Build the sender."""
        self.sender = Sender(
            name="slack",
            channel=self.channel,
            pool=self.pool,
            clock=self.clock,
            owner=self.owner,
            base_url="http://here",
            limits=self.limits,
            random=lambda: 0.5,
        )

    def after(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.now += round(seconds * SECOND_US)
        self.clock.passed_s += seconds

    async def rows(self) -> list[DeliveryRow]:
        """Return all deliveries, the first one first."""
        found = await deliveries.list_deliveries(self.pool, "", None, 100)
        return found[::-1]


def delivery(
    number: int, *, action: Action = "tell", mail: Mail | None = None
) -> Delivery:
    """Return a delivery of the channel slack."""
    notice = Notice(
        reason="ended", live=live(f"e{number}"), at_us=NOON_US,
        phase=ExecutionPhase.FAILED, failure=FAILURE, mail=mail,
    )  # fmt: skip
    return Delivery(
        id=f"execution/p/d/e{number}/9/rule/slack", channel="slack", rule="rule",
        stream=f"execution/p/d/e{number}", event_id=f"execution/p/d/e{number}/9",
        subject="rule/p/d/flows.wf", action=action, notice=notice,
    )  # fmt: skip


async def due(pool: Pool, *found: Delivery) -> None:
    """Let deliveries be due at noon."""
    async with pool.connection() as conn:
        for one in found:
            await store.write_due(conn, [one], {}, time_of(NOON_US), 9e9)


async def test_what_is_due_is_sent_once(pool: Pool) -> None:
    """And marked with what the provider calls it."""
    await due(pool, delivery(1), delivery(2))
    sending = Sending(pool, Scripted([Answer(result=SENT, reference="ts")]))

    assert await sending.sender.send_due() == 2
    assert await sending.sender.send_due() == 0

    one, _ = await sending.rows()
    assert (one.state, one.tries, one.reference) == ("sent", 1, "ts")
    assert one.sent_at is not None
    first = sending.channel.got[0]
    assert first.id.startswith("msg_")
    assert len(first.id) == 36
    assert first.words.links[0].url == "http://here/api/v1/executions/p/d/e1"


@pytest.mark.parametrize("result", [RETRY, UNKNOWN])
async def test_failures_are_tried_again_later_and_later(
    pool: Pool, result: Result
) -> None:
    """With the same key; a try that may have arrived is remembered."""
    await due(pool, delivery(1))
    sending = Sending(
        pool, Scripted([Answer(result=result, text="no")] * 2 + [Answer(result=SENT)])
    )

    assert await sending.sender.send_due() == 1
    assert await sending.sender.send_due() == 0
    sending.after(1.1)
    assert await sending.sender.send_due() == 1
    sending.after(1.1)
    assert await sending.sender.send_due() == 0
    sending.after(4)
    assert await sending.sender.send_due() == 1

    (row,) = await sending.rows()
    assert (row.state, row.tries) == ("sent", 3)
    assert row.maybe_repeated is (result is UNKNOWN)
    assert len({message.id for message in sending.channel.got}) == 1


async def test_a_provider_that_asks_to_wait_is_left_alone_for_so_long(
    pool: Pool,
) -> None:
    """By what it says, not by our own pauses."""
    await due(pool, delivery(1))
    sending = Sending(pool, Scripted([Answer(result=WAIT, after_s=90.0)]))

    await sending.sender.send_due()
    sending.after(89)
    assert await sending.sender.send_due() == 0
    sending.after(2)
    assert await sending.sender.send_due() == 1


async def test_what_is_refused_is_dead_and_can_be_sent_again(pool: Pool) -> None:
    """With the reason; redriving it begins again."""
    await due(pool, delivery(1))
    sending = Sending(
        pool,
        Scripted([Answer(result=REFUSED, text="invalid_blocks"), Answer(result=SENT)]),
    )
    await sending.sender.send_due()
    (row,) = await sending.rows()
    assert (row.state, row.reason) == ("dead", "invalid_blocks")

    now = time_of(sending.clock.now_us())
    assert await deliveries.redrive(pool, "", ["slack"], now) == [row.id]
    assert await deliveries.redrive(pool, row.id, ["slack"], now) == []
    await sending.sender.send_due()

    assert [row.state for row in await sending.rows()] == ["sent"]


async def test_what_cannot_be_sent_for_a_day_is_given_up(pool: Pool) -> None:
    """And says what the last answer was."""
    await due(pool, delivery(1))
    sending = Sending(pool, Scripted([Answer(result=RETRY, text="HTTP 500")]))
    tries = 0
    while (await sending.rows())[0].state == DUE:
        tries += await sending.sender.send_due()
        sending.after(600)
        assert tries < 40

    (row,) = await sending.rows()
    assert (row.state, row.reason) == ("dead", "HTTP 500")
    assert tries > 10


async def test_a_channel_that_is_gone_keeps_what_is_due(pool: Pool) -> None:
    """One try now and then finds out whether it is back."""
    await due(pool, *map(delivery, range(3)))
    sending = Sending(
        pool,
        Scripted([Answer(result=GONE, text="no_team")]),
        limits=Limits(at_once=1),
    )
    await sending.sender.send_due()
    assert await sending.sender.send_due() == 0
    sending.after(200_000)
    await sending.sender.send_due()

    assert [row.state for row in await sending.rows()] == [DUE, DUE, DUE]
    sending.channel.answers = [Answer(result=SENT)]
    for _ in range(20):
        sending.after(4_000)
        await sending.sender.send_due()
    assert {row.state for row in await sending.rows()} == {"sent"}


async def test_what_is_too_old_is_told_nobody(pool: Pool) -> None:
    """After a week away; but an alert is resolved whenever that is."""
    await due(pool, delivery(1), delivery(2, action="resolve"))
    sending = Sending(pool, Scripted())
    sending.after(8 * 86_400)

    await sending.sender.send_due()

    assert [row.state for row in await sending.rows()] == ["expired", "sent"]


async def test_a_claim_that_nobody_marked_is_taken_over(pool: Pool) -> None:
    """Its try may have arrived; the first owner marks nothing any more."""
    await due(pool, delivery(1))
    first, second = (Sending(pool, Scripted(), owner=owner) for owner in "ab")
    (claimed,) = await first.sender._claim()
    second.after(59)
    assert await second.sender.send_due() == 0
    second.after(2)
    assert await second.sender.send_due() == 1

    assert not await store.mark(pool, claimed, store.Mark(state=DeliveryState.DEAD))
    (row,) = await second.rows()
    assert (row.state, row.tries, row.owner) == ("sent", 2, "b")
    assert row.maybe_repeated


async def test_two_senders_share_what_is_due(pool: Pool) -> None:
    """Nothing is sent by both."""
    await due(pool, *map(delivery, range(40)))
    both = [Sending(pool, Scripted(), owner=owner) for owner in "ab"]

    while sum(await asyncio.gather(*(one.sender.send_due() for one in both))):
        pass

    got = [message.id for one in both for message in one.channel.got]
    assert len(got) == len(set(got)) == 40


async def test_ordered_channels_send_a_subject_in_order(pool: Pool) -> None:
    """An alert that waits to be sent again holds up its resolution."""
    await due(pool, delivery(1), delivery(2), delivery(3, action="resolve"))
    answers = [Answer(result=RETRY), Answer(result=SENT)]
    sending = Sending(pool, Scripted(answers, is_ordered=True))

    for _ in range(6):
        await sending.sender.send_due()
        sending.after(1.1)

    actions = [(m.action, m.words.execution[-2:]) for m in sending.channel.got]
    assert actions == [
        ("tell", "e1"), ("tell", "e1"), ("tell", "e2"), ("resolve", "e3"),
    ]  # fmt: skip


async def test_recipients_that_are_left_are_tried_alone(pool: Pool) -> None:
    """The others have their mail."""
    mail = Mail(
        kind="email", recipients=("a@x", "b@x"), phases=(ExecutionPhase.FAILED,)
    )
    await due(pool, delivery(1, mail=mail))
    answers = [Answer(result=SENT, left=("b@x",), text="b@x: 451"), Answer(result=SENT)]
    sending = Sending(pool, Scripted(answers))
    await sending.sender.send_due()
    sending.after(2)
    await sending.sender.send_due()

    assert [m.recipients for m in sending.channel.got] == [("a@x", "b@x"), ("b@x",)]
    assert [row.state for row in await sending.rows()] == ["sent"]


async def test_a_channel_that_raises_costs_its_delivery_alone(pool: Pool) -> None:
    """A defect isn't repeated for ever."""

    def fail() -> None:
        raise RuntimeError("a defect")

    await due(pool, delivery(1))
    sending = Sending(pool, Scripted(before=fail))
    await sending.sender.send_due()

    (row,) = await sending.rows()
    assert (row.state, row.reason) == ("dead", "RuntimeError('a defect')")


async def test_a_sender_is_woken(pool: Pool) -> None:
    """It doesn't wait for its next look."""
    sending = Sending(pool, Scripted())
    running = asyncio.create_task(sending.sender.run())
    await asyncio.sleep(0.1)
    await due(pool, delivery(1))
    sending.sender.wake()
    async with asyncio.timeout(0.9):
        while not sending.channel.got:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])


async def test_rows_survive_any_notice(pool: Pool) -> None:
    """A message with NUL and half a surrogate pair is stored and sent."""
    odd = replace(FAILURE, message="a\0b")
    one = delivery(1)
    await due(pool, replace(one, notice=replace(one.notice, failure=odd)))
    sending = Sending(pool, Scripted())

    assert await sending.sender.send_due() == 1
    with psycopg.connect(str(pool.conninfo)) as conn:
        assert conn.execute("SELECT count(*) FROM notify_deliveries").fetchone() == (1,)


async def test_what_a_provider_says_is_stored_whatever_it_is(pool: Pool) -> None:
    """NUL, half a surrogate pair, and far too much of it."""
    await due(pool, delivery(1))
    said = "no\0\udce4" + "x" * 9_000
    sending = Sending(pool, Scripted([Answer(result=REFUSED, text=said)]))
    await sending.sender.send_due()

    (row,) = await sending.rows()
    assert row.state == "dead"
    assert row.reason.startswith("no\N{REPLACEMENT CHARACTER}")


async def test_a_provider_cannot_ask_to_wait_for_years(pool: Pool) -> None:
    """An hour, as between the last tries."""
    await due(pool, delivery(1))
    sending = Sending(pool, Scripted([Answer(result=WAIT, after_s=9e12)]))
    await sending.sender.send_due()
    sending.after(3_601)

    assert await sending.sender.send_due() == 1


async def test_a_channel_that_answers_some_is_not_gone(pool: Pool) -> None:
    """One round of refusals opens the circuit once, for a short time."""
    await due(pool, *map(delivery, range(8)))
    sending = Sending(pool, Scripted([Answer(result=GONE)] * 8 + [Answer(result=SENT)]))
    assert await sending.sender.send_due() == 8
    sending.after(6)
    for _ in range(9):
        await sending.sender.send_due()
        sending.after(1)

    assert {row.state for row in await sending.rows()} == {"sent"}


async def test_a_mail_that_is_redriven_goes_to_who_is_left(pool: Pool) -> None:
    """Not to those that have it."""
    mail = Mail(
        kind="email", recipients=("a@x", "b@x"), phases=(ExecutionPhase.FAILED,)
    )
    await due(pool, delivery(1, mail=mail))
    answers = [
        Answer(result=SENT, left=("b@x",)),
        Answer(result=REFUSED),
        Answer(result=SENT),
    ]
    sending = Sending(pool, Scripted(answers))
    await sending.sender.send_due()
    sending.after(2)
    await sending.sender.send_due()
    now = time_of(sending.clock.now_us())
    assert await deliveries.redrive(pool, "", ["email"], now) == []
    assert len(await deliveries.redrive(pool, "", ["slack"], now)) == 1
    await sending.sender.send_due()

    assert [m.recipients for m in sending.channel.got][1:] == [("b@x",)] * 2


async def test_an_alert_that_was_resolved_is_not_raised_again(pool: Pool) -> None:
    """Nothing would resolve it then."""
    await due(pool, delivery(1), delivery(2, action="resolve"))
    answers = [Answer(result=REFUSED), Answer(result=SENT)]
    sending = Sending(pool, Scripted(answers, is_ordered=True))
    for _ in range(3):
        await sending.sender.send_due()

    now = time_of(sending.clock.now_us())
    assert [row.state for row in await sending.rows()] == ["dead", "sent"]
    assert await deliveries.redrive(pool, "", ["slack"], now) == []
