"""The projector: what events show as rows, in whatever batches they come."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest
from psycopg import OperationalError

from infra.errors import ConflictError
from infra.postgres.pool import Pool
from projections.projector.commit import Commit
from projections.projector.projector import Projector, rebuild
from projections.queries import executions
from projections.queries.page import Page
from projections.views.apply import APPLY
from projections.views.journal import LINES
from schemas.envelope import Envelope
from schemas.ids import ExecutionRef
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.messages.commands import ReportChild, TerminateExecution
from schemas.values import Failure
from schemas.wire import codec
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
from tests.support.harness.read_models import ReadModels, accepted
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
    """A projector that doesn't learn how its first commit ended."""

    async def _write(self, wanted: Commit) -> None:
        await Projector._write(self, wanted)
        if not self.stopped:
            self.stopped = "lost"
            raise OperationalError


def test_every_event_is_applied_and_has_a_line() -> None:
    """No event of an execution is unknown to the read models or to the journal."""
    events = set(get_args(e.ExecutionEvent))

    assert events == set(APPLY)
    assert events == set(LINES)


async def test_one_task_shows(read_models: ReadModels) -> None:
    """A run of one task shows its execution, nodes and attempt, all SUCCEEDED."""
    engine = an_engine(task_node("a"))
    engine.begin()
    engine.succeed("a")
    await read_models.given(STREAM, *engine.events)

    execution = await executions.get_execution(read_models.pool, MAIN)
    node = await executions.get_node(read_models.pool, MAIN, "a")
    attempt = await executions.get_task_execution(read_models.pool, MAIN, "a", 0)

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


async def test_nodes_show_in_order(read_models: ReadModels) -> None:
    """Nodes are listed as they became visible, start and end among them."""
    engine = an_engine(task_node("a"))
    engine.begin()
    engine.succeed("a")
    await read_models.given(STREAM, *engine.events)

    nodes = await executions.list_nodes(read_models.pool, MAIN, "", Page(limit=10))

    assert not hasattr(nodes, "reason")
    assert ["start-node", "a", "end-node"] == [n.node_id for n in nodes]


async def test_a_node_stays_running_across_retries(read_models: ReadModels) -> None:
    """A retried node never goes back; its start and attempts are kept."""
    engine = an_engine(task_node("a"), retries=1)
    engine.begin()
    engine.do(start(engine.run_of("a")))
    await read_models.given(STREAM, *engine.events)
    before = await executions.get_node(read_models.pool, MAIN, "a")
    engine.events.clear()
    engine.fail("a", recoverable=True)
    engine.do(start(engine.run_of("a")))
    await read_models.given(STREAM, *engine.events)

    after = await executions.get_node(read_models.pool, MAIN, "a")

    assert before is not None
    assert after is not None
    assert (after.phase, after.attempt) == ("RUNNING", 1)
    assert (after.started_at, after.updated_at) == (
        before.started_at,
        before.updated_at,
    )


@pytest.mark.parametrize("batch_max", [1, 2, 3, 5])
async def test_batches_do_not_matter(read_models: ReadModels, batch_max: int) -> None:
    """Rows are the same whether events come one by one or all at once."""
    read_models.log.add(STREAM, *a_retried_run().events)
    await read_models.follow(batch_max)
    slowly = await read_models.dump()
    await rebuild(read_models.log, read_models.pool)

    assert slowly == await read_models.dump()


async def test_a_rebuild_equals_live(read_models: ReadModels) -> None:
    """Rebuilt rows are the live rows, and progress is reported."""
    read_models.log.add(STREAM, *a_retried_run().events)
    await read_models.follow(batch_max=4)
    live = await read_models.dump()
    progress: list[int] = []
    applied = await rebuild(read_models.log, read_models.pool, progress.append)

    assert live == await read_models.dump()
    assert applied == len(read_models.log.records) == progress[-1]


async def test_branches_show_as_parents(read_models: ReadModels) -> None:
    """A branch's arm is in it, and the branch is a parent."""
    arms = task_node("b-n0"), task_node("b-n1")
    engine = an_engine(branch_node("b", "", *arms), output="b")
    engine.begin()
    await read_models.given(STREAM, *engine.events)

    branch = await executions.get_node(read_models.pool, MAIN, "b")
    inside = await executions.list_nodes(read_models.pool, MAIN, "b", Page(limit=5))

    assert branch is not None
    assert (branch.is_parent, branch.is_array) == (True, False)
    assert len(accepted(inside)) == 1


async def test_sub_workflows_show_as_parents(read_models: ReadModels) -> None:
    """A sub-workflow's nodes are in its node, with the attempt as retry group."""
    sub = workflow("sub", [task_node("x")], "x")
    engine = Engine(definition([workflow_node("w")], "w", subs=[sub]), created())
    engine.begin()
    await read_models.given(STREAM, *engine.events)

    node = await executions.get_node(read_models.pool, MAIN, "w")
    inside = await executions.list_nodes(read_models.pool, MAIN, "w", Page(limit=5))

    assert node is not None
    assert node.is_parent
    assert ["w-0-start-node", "w-0-x"] == [n.node_id for n in accepted(inside)]
    assert {"0"} == {n.retry_group for n in accepted(inside)}


async def test_a_child_execution_shows(read_models: ReadModels) -> None:
    """A launch plan node names its child as soon as that exists, and is no parent."""
    engine = an_engine(launch_plan_node("l"), output="l")
    engine.begin()
    report = ReportChild(node_id="l", attempt=0, child="p/d/child", phase="QUEUED")
    engine.do(report)
    await read_models.given(STREAM, *engine.events)

    node = await executions.get_node(read_models.pool, MAIN, "l")

    assert node is not None
    assert (node.child, node.is_parent) == ("p/d/child", False)


async def test_an_abort_shows(read_models: ReadModels) -> None:
    """Aborting shows cause and principal, and what ran is ABORTED too."""
    engine = an_engine(task_node("a"))
    engine.begin()
    engine.do(TerminateExecution(cause="enough", principal="me"))
    await read_models.given(STREAM, *engine.events)

    execution = await executions.get_execution(read_models.pool, MAIN)
    attempt = await executions.get_task_execution(read_models.pool, MAIN, "a", 0)

    assert execution is not None
    assert attempt is not None
    assert execution.phase == attempt.phase == "ABORTED"
    assert (execution.abort_cause, execution.abort_principal) == ("enough", "me")


async def test_a_failure_shows(read_models: ReadModels) -> None:
    """A failure is found whole on node, attempt and execution."""
    engine = an_engine(task_node("a"))
    engine.begin()
    engine.fail("a")
    await read_models.given(STREAM, *engine.events)

    execution = await executions.get_execution(read_models.pool, MAIN)
    node = await executions.get_node(read_models.pool, MAIN, "a")

    assert execution is not None
    assert node is not None
    assert execution.error == node.error
    assert execution.error is not None
    assert execution.error.message == "it broke"
    assert (await executions.phase_counts(read_models.pool, MAIN))["FAILED"] == 1


async def test_the_journal_has_a_line_for_each_event(read_models: ReadModels) -> None:
    """The journal has one line for each event, in order."""
    engine = an_engine(task_node("a"))
    engine.begin()
    engine.fail("a")
    await read_models.given(STREAM, *engine.events)

    lines = await executions.read_journal(read_models.pool, MAIN)

    assert [len(engine.events)] == [lines[-1].sequence]
    assert "attempt 0 failed (not recoverable): [USER] Boom: it broke" in {
        line.summary for line in lines
    }


async def test_catching_up_waits_for_nothing_else(pool: Pool) -> None:
    """The start of an engine doesn't wait for what else follows the last event."""
    log = MemoryLog(poll_s=60)
    cause = Envelope(id="c7", type="T", stream=STREAM)
    records = [event_record(codec.ENGINE, created(), cause, 1, STREAM)]
    await log.append([*records, dispatch("d1")])
    projector = Projector(log, pool)
    async with asyncio.timeout(10):
        await projector.catch_up()

    assert projector.applied == 1


async def test_unknown_bytes_stop_the_projector(read_models: ReadModels) -> None:
    """An event that can't be decoded is never skipped: no later event shows."""
    read_models.log.spoil(STREAM)
    projector = Projector(read_models.log, read_models.pool)
    with pytest.raises(UndecodableMessageError, match="event 'bad' at 1"):
        await projector.catch_up()

    assert "Expected to apply event 'bad'" in projector.stopped
    assert projector.position == 0


async def test_two_projectors_do_not_double(read_models: ReadModels) -> None:
    """Of two projectors on the same read models the later one ends by a conflict."""
    engine = a_retried_run()
    read_models.log.add(STREAM, *engine.events[:5])
    first = await read_models.follow()
    read_models.log.add(STREAM, *engine.events[5:9])
    await read_models.follow()
    read_models.log.add(STREAM, *engine.events[9:])
    with pytest.raises(ConflictError, match="only projector"):
        await first.apply_batch(read_models.log.records[5:])

    assert len(await read_models.rows("journal")) == 9


async def test_a_lost_answer_is_no_conflict(read_models: ReadModels) -> None:
    """A commit whose answer was lost is recognised as done."""
    engine = a_retried_run()
    read_models.log.add(STREAM, *engine.events)
    projector = Losing(read_models.log, read_models.pool, retry_s=0.001)
    await projector.catch_up()

    assert len(engine.events) == projector.position == projector.applied


async def test_absurd_reports_do_not_stop_it(read_models: ReadModels) -> None:
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
    await read_models.given(STREAM, *engine.events, failed)

    attempt = await executions.get_task_execution(read_models.pool, MAIN, "a", 0)

    assert attempt is not None
    assert attempt.ended_at is not None
    assert attempt.ended_at.year == 9999
