"""The projector: what events show as rows, in whatever batches they come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import get_args

import psycopg
import pytest
from psycopg import OperationalError

from infra.errors import ConflictError
from infra.postgres.pool import Pool
from projections.projector.projector import Projector, rebuild
from projections.queries import executions
from projections.views.apply import APPLY
from projections.views.changes import Changes
from projections.views.journal import LINES
from schemas.envelope import Envelope
from schemas.ids import ExecutionRef
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.messages import outcomes
from schemas.messages.commands import ReportChild, TerminateExecution
from schemas.values import Failure
from schemas.wire.codec import UndecodableMessageError
from tests.contract.records import dispatch
from tests.support.engine import STREAM, Engine, created, start
from tests.support.fakes import MemoryLog
from tests.support.graphs import (
    branch_node,
    definition,
    launch_plan_node,
    task_node,
    task_template,
    workflow,
    workflow_node,
)
from tests.support.harness.read_models import Views
from workers.propeller.records import event_record

MAIN = ExecutionRef(project="p", domain="d", name="main-1")


def an_engine(*nodes: object, output: str = "a", retries: int = 0) -> Engine:
    """Return the engine of one workflow."""
    tasks = [task_template(retries=retries)]
    return Engine(definition(nodes, output, tasks=tasks), created())


def a_retried_run() -> Engine:
    """Return a run whose only task fails once and then ends well."""
    engine = an_engine(task_node("a"), retries=1)
    engine.begin()
    engine.do(start(engine.run_of("a")))
    engine.fail("a", recoverable=True)
    engine.do(start(engine.run_of("a")))
    engine.succeed("a")
    return engine


class Losing(Projector):
    """A projector that doesn't hear how its first commit ended."""

    async def _commit(self, ends: Mapping[int, int], changes: Changes) -> None:
        await Projector._commit(self, ends, changes)
        if not self.stopped:
            self.stopped = "lost"
            raise OperationalError


def test_every_event_is_applied_and_told() -> None:
    """No event of an execution is unknown to the views or to the journal."""
    events = set(get_args(e.ExecutionEvent))

    assert events == set(APPLY)
    assert events == set(LINES)


async def test_one_task_shows(views: Views) -> None:
    """A run of one task shows its execution, nodes and attempt, all SUCCEEDED."""
    engine = an_engine(task_node("a"))
    engine.begin()
    engine.succeed("a")
    await views.given(STREAM, *engine.events)

    execution = await executions.get_execution(views.pool, MAIN)
    node = await executions.get_node(views.pool, MAIN, "a")
    attempt = await executions.get_task_execution(views.pool, MAIN, "a", 0)

    assert execution is not None
    assert node is not None
    assert attempt is not None
    assert execution.phase == node.phase == attempt.phase == "SUCCEEDED"
    assert execution.inputs == engine.first.inputs
    assert execution.outputs == engine.events[-1].outputs  # type: ignore[union-attr]
    assert execution.duration is not None
    assert attempt.task.name == "t"
    assert [r.reason for r in attempt.reasons] == [
        "task handed out to the runners",
        "task started by runner r1",
    ]


async def test_nodes_show_in_order(views: Views) -> None:
    """Nodes are listed as they became visible, start and end among them."""
    engine = an_engine(task_node("a"))
    engine.begin()
    engine.succeed("a")
    await views.given(STREAM, *engine.events)

    nodes = await executions.list_nodes(views.pool, MAIN, "", executions.Page(limit=10))

    assert not hasattr(nodes, "reason")
    assert ["start-node", "a", "end-node"] == [n.node_id for n in nodes]


async def test_a_node_stays_running_across_retries(views: Views) -> None:
    """A retried node never goes back; its start and attempts are kept."""
    engine = an_engine(task_node("a"), retries=1)
    engine.begin()
    engine.do(start(engine.run_of("a")))
    await views.given(STREAM, *engine.events)
    before = await executions.get_node(views.pool, MAIN, "a")
    engine.events.clear()
    engine.fail("a", recoverable=True)
    engine.do(start(engine.run_of("a")))
    await views.given(STREAM, *engine.events)

    after = await executions.get_node(views.pool, MAIN, "a")

    assert before is not None
    assert after is not None
    assert (after.phase, after.attempt) == ("RUNNING", 1)
    assert (after.started_at, after.updated_at) == (
        before.started_at,
        before.updated_at,
    )


@pytest.mark.parametrize("batch_max", [1, 2, 3, 5])
async def test_batches_do_not_matter(views: Views, batch_max: int) -> None:
    """Rows are the same whether events come one by one or all at once."""
    views.log.add(STREAM, *a_retried_run().events)
    await views.follow(batch_max)
    slowly = await views.dump()
    await rebuild(views.log, views.pool)

    assert slowly == await views.dump()


async def test_a_rebuild_equals_live(views: Views) -> None:
    """Rebuilt rows are the live rows, and progress is told."""
    views.log.add(STREAM, *a_retried_run().events)
    await views.follow(batch_max=4)
    live = await views.dump()
    told: list[int] = []
    applied = await rebuild(views.log, views.pool, told.append)

    assert live == await views.dump()
    assert applied == len(views.log.records) == told[-1]


async def test_branches_show_as_parents(views: Views) -> None:
    """A branch's arm lies in it, and the branch is told to be a parent."""
    arms = task_node("b-n0"), task_node("b-n1")
    engine = an_engine(branch_node("b", "", *arms), output="b")
    engine.begin()
    await views.given(STREAM, *engine.events)

    branch = await executions.get_node(views.pool, MAIN, "b")
    inside = await executions.list_nodes(
        views.pool, MAIN, "b", executions.Page(limit=5)
    )

    assert branch is not None
    assert (branch.is_parent, branch.is_array) == (True, False)
    assert len(inside) == 1  # type: ignore[arg-type]


async def test_sub_workflows_show_as_parents(views: Views) -> None:
    """A sub-workflow's nodes lie in its node, with the attempt as retry group."""
    sub = workflow("sub", [task_node("x")], "x")
    engine = Engine(definition([workflow_node("w")], "w", subs=[sub]), created())
    engine.begin()
    await views.given(STREAM, *engine.events)

    node = await executions.get_node(views.pool, MAIN, "w")
    inside = await executions.list_nodes(
        views.pool, MAIN, "w", executions.Page(limit=5)
    )

    assert node is not None
    assert node.is_parent
    assert ["w-0-start-node", "w-0-x"] == [n.node_id for n in inside]  # type: ignore[union-attr]
    assert {"0"} == {n.retry_group for n in inside}  # type: ignore[union-attr]


async def test_a_child_execution_shows(views: Views) -> None:
    """A launch plan node names its child as soon as that exists, and is no parent."""
    engine = an_engine(launch_plan_node("l"), output="l")
    engine.begin()
    report = ReportChild(node_id="l", attempt=0, child="p/d/child", phase="QUEUED")
    engine.do(report)
    await views.given(STREAM, *engine.events)

    node = await executions.get_node(views.pool, MAIN, "l")

    assert node is not None
    assert (node.child, node.is_parent) == ("p/d/child", False)


async def test_an_abort_shows(views: Views) -> None:
    """Aborting shows cause and principal, and what ran is ABORTED too."""
    engine = an_engine(task_node("a"))
    engine.begin()
    engine.do(TerminateExecution(cause="enough", principal="me"))
    await views.given(STREAM, *engine.events)

    execution = await executions.get_execution(views.pool, MAIN)
    attempt = await executions.get_task_execution(views.pool, MAIN, "a", 0)

    assert execution is not None
    assert attempt is not None
    assert execution.phase == attempt.phase == "ABORTED"
    assert (execution.abort_cause, execution.abort_principal) == ("enough", "me")


async def test_a_failure_shows(views: Views) -> None:
    """A failure is found whole on node, attempt and execution."""
    engine = an_engine(task_node("a"))
    engine.begin()
    engine.fail("a")
    await views.given(STREAM, *engine.events)

    execution = await executions.get_execution(views.pool, MAIN)
    node = await executions.get_node(views.pool, MAIN, "a")

    assert execution is not None
    assert node is not None
    assert execution.error == node.error
    assert execution.error is not None
    assert execution.error.message == "it broke"
    assert (await executions.phase_counts(views.pool, MAIN))["FAILED"] == 1


async def test_the_journal_tells(views: Views) -> None:
    """The journal has one line for each event, in order."""
    engine = an_engine(task_node("a"))
    engine.begin()
    engine.fail("a")
    await views.given(STREAM, *engine.events)

    lines = await executions.read_journal(views.pool, MAIN)

    assert [len(engine.events)] == [lines[-1].sequence]
    assert "attempt 0 failed (not recoverable): [USER] Boom: it broke" in {
        line.summary for line in lines
    }


async def test_an_outcome_names_the_first_event(views: Views) -> None:
    """The outcome of a command that is awaited names its first event only."""
    engine = an_engine(task_node("a"))
    await views.given(STREAM, *engine.begin(), command="c1", reply=True)

    assert ("done", f"{STREAM}/1", "", "") == await executions.outcome(views.pool, "c1")


async def test_refusals_are_outcomes(views: Views) -> None:
    """Refused and idle commands have outcomes too, and hold no place in a stream."""
    rejected = outcomes.CommandRejected(
        command_id="c2", command_type="T", reason="NOT_FOUND", detail="Expected\0, but"
    )
    views.log.answer(STREAM, rejected)
    views.log.answer(
        STREAM, outcomes.CommandHadNoEffect(command_id="c3", command_type="T")
    )
    await views.follow()

    assert {
        "c2": ("rejected", "", "NOT_FOUND", "Expected\N{REPLACEMENT CHARACTER}, but"),
        "c3": ("no_effect", "", "", ""),
    } == await executions.outcomes(views.pool, ["c2", "c3", "c4"])


async def test_outcomes_are_notified(views: Views, pool: Pool) -> None:
    """Whoever listens hears the id of an answered command after the commit."""
    async with await psycopg.AsyncConnection.connect(
        str(pool.conninfo), autocommit=True
    ) as listener:
        await listener.execute("LISTEN flightlog_outcomes")
        views.log.answer(
            STREAM, outcomes.CommandHadNoEffect(command_id="c4", command_type="T")
        )
        await views.follow()
        heard = [n async for n in listener.notifies(timeout=5, stop_after=1)]

    assert ["c4"] == [n.payload for n in heard]


async def test_settle_hears_outcomes(views: Views) -> None:
    """Within the process, outcomes are told after the commit, without a detour."""
    heard: dict[str, object] = {}
    views.log.answer(
        STREAM, outcomes.CommandHadNoEffect(command_id="c5", command_type="T")
    )
    projector = Projector(views.log, views.pool, settle=heard.__setitem__)
    await projector.catch_up()

    assert {"c5": ("no_effect", "", "", "")} == heard


async def test_catching_up_waits_for_no_news(pool: Pool) -> None:
    """The start of an engine isn't held up by what else lies behind the last event."""
    log = MemoryLog(poll_s=60)
    records = [
        event_record(created(), Envelope(id="c7", type="T", stream=STREAM), 1, STREAM)
    ]
    await log.append([*records, dispatch("d1")])
    projector = Projector(log, pool)
    async with asyncio.timeout(10):
        await projector.catch_up()

    assert projector.applied == 1


async def test_old_outcomes_are_trimmed(views: Views) -> None:
    """Outcomes are forgotten after a while."""
    views.log.answer(
        STREAM, outcomes.CommandHadNoEffect(command_id="c6", command_type="T")
    )
    await views.follow()
    projector = Projector(views.log, views.pool, outcomes_kept_s=0, trim_s=0)
    task = asyncio.create_task(projector.run())
    async with asyncio.timeout(5):
        while await executions.outcome(views.pool, "c6") is not None:
            await asyncio.sleep(0.01)
    task.cancel()

    assert await executions.outcome(views.pool, "c6") is None


async def test_unknown_bytes_stop_the_projector(views: Views) -> None:
    """An event that can't be decoded is never skipped: nothing behind it shows."""
    views.log.spoil(STREAM)
    projector = Projector(views.log, views.pool)
    with pytest.raises(UndecodableMessageError, match="event 'bad' at 1"):
        await projector.catch_up()

    assert "Expected to apply event 'bad'" in projector.stopped
    assert projector.position == 0


async def test_two_projectors_do_not_double(views: Views) -> None:
    """Of two projectors on the same views the later one ends by a conflict."""
    engine = a_retried_run()
    views.log.add(STREAM, *engine.events[:5])
    first = await views.follow()
    views.log.add(STREAM, *engine.events[5:9])
    await views.follow()
    views.log.add(STREAM, *engine.events[9:])
    with pytest.raises(ConflictError, match="only projector"):
        await first.take(views.log.records[5:])

    assert len(await views.rows("journal")) == 9


async def test_a_lost_answer_is_no_conflict(views: Views) -> None:
    """A commit whose answer was lost is recognised as done."""
    engine = a_retried_run()
    views.log.add(STREAM, *engine.events)
    projector = Losing(views.log, views.pool, retry_s=0.001)
    await projector.catch_up()

    assert len(engine.events) == projector.position == projector.applied


async def test_absurd_reports_do_not_stop_it(views: Views) -> None:
    """Times that no calendar holds and text with NUL are cut, not refused."""
    engine = an_engine(task_node("a"))
    engine.begin()
    failed = ne.TaskFailed(
        occurred_at_us=1,
        node_id="a",
        attempt=0,
        ended_at_us=2**62,
        failure=Failure(code="a\0b", message="c\0d"),
        recoverable=False,
    )
    await views.given(STREAM, *engine.events, failed)

    attempt = await executions.get_task_execution(views.pool, MAIN, "a", 0)

    assert attempt is not None
    assert attempt.ended_at is not None
    assert attempt.ended_at.year == 9999
