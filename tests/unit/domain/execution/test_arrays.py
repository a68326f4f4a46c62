"""Array nodes: sizes, elements, budgets, lists of outputs, and what ends them."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import literals_pb2
from msgspec.structs import replace

from domain.decider import Send
from domain.literals.array_values import array_size, collect_outputs, required_successes
from schemas.ids import ParentNode, element_id
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import node_events as ne
from schemas.values import Failure, Values
from schemas.wire import codec
from tests.support.engine import Engine, created, start, success
from tests.support.graphs import (
    array_node,
    definition,
    integer,
    lists,
    task_node,
    task_template,
    values,
)
from workers.propeller.kinds.executions import EXECUTIONS
from workers.propeller.leases import Leases


def engine(
    items: list[int] | None, *, big: bool = False, parallelism: int = 25, **more: Any
) -> Engine:
    """Return an execution of one array over x, begun."""
    retries = more.pop("retries", 0)
    tasks = (task_template("m", retries=retries), task_template())
    graph = definition([array_node("n0", "", **more)], "n0", tasks=tasks)
    inputs = Values(inline=lists(x=items) if items is not None else values(x=1))
    if big:
        inputs = Values(uri="lists", digest="0", size=10**6)
    first = replace(created(max_parallelism=parallelism), inputs=inputs)
    found = Engine(graph, first)
    found.begin()
    return found


def outputs_of(found: Engine) -> list[Any]:
    """Return what the execution put out, None for elements that failed."""
    assert found.state.outputs is not None
    data = literals_pb2.LiteralMap.FromString(found.state.outputs.inline or b"")
    items = data.literals["o0"].collection.literals
    return [
        item.scalar.primitive.integer if item.scalar.HasField("primitive") else None
        for item in items
    ]


def test_each_index_is_a_task_with_the_whole_list() -> None:
    """Elements are dispatched with the array's inputs and their own index."""
    run = engine([5, 6, 7])
    sent = run.runs()

    assert [m.array_index for m in sent] == [0, 1, 2]
    assert [m.node_id for m in sent] == ["n0-0-n0", "n0-0-n1", "n0-0-n2"]
    assert {m.inputs.inline for m in sent} == {lists(x=[5, 6, 7])}
    assert len({m.input_path for m in sent}) == 1
    assert [m.output_path.rpartition("/")[2] for m in sent] == [
        "n0-0-n0.0", "n0-0-n1.0", "n0-0-n2.0",
    ]  # fmt: skip


def test_outputs_are_lists_in_the_order_of_the_index() -> None:
    """Whichever ends first, the list keeps the order."""
    run = engine([5, 6, 7])
    for index in (2, 0, 1):
        run.succeed(f"n0-0-n{index}", index * 10)

    assert run.state.phase == "SUCCEEDED"
    assert outputs_of(run) == [0, 10, 20]


def test_no_elements_are_an_empty_list() -> None:
    """An array over an empty list succeeds at once."""
    run = engine([])

    assert run.state.phase == "SUCCEEDED"
    assert outputs_of(run) == []


def test_a_second_array_takes_the_first_ones_list() -> None:
    """What is gathered is a list that may be mapped over."""
    tasks = (task_template("m"),)
    graph = definition(
        [array_node("n0", ""), array_node("n1", "n0")], "n1", tasks=tasks
    )
    run = Engine(graph, replace(created(), inputs=Values(inline=lists(x=[1, 2]))))
    run.begin()
    run.succeed("n0-0-n0", 3)
    run.succeed("n0-0-n1", 4)

    assert run.run_of("n1-0-n1").inputs.inline == lists(x=[3, 4])


def test_concurrency_bounds_what_is_open() -> None:
    """With concurrency 2 the third index waits for the end of one."""
    tasks = (task_template("m"),)
    node = array_node("n0", "")
    node.array_node.parallelism = 2
    graph = definition([node], "n0", tasks=tasks)
    run = Engine(graph, replace(created(), inputs=Values(inline=lists(x=[1] * 5))))
    run.begin()
    assert [m.array_index for m in run.runs()] == [0, 1]

    run.succeed("n0-0-n1")
    assert [m.array_index for m in run.runs()] == [0, 1, 2]
    run.succeed("n0-0-n2")
    run.succeed("n0-0-n0")
    assert [m.array_index for m in run.runs()] == [0, 1, 2, 3, 4]


def test_the_first_hopeless_failure_ends_the_array() -> None:
    """What still runs is aborted, and the failure tells the index."""
    run = engine([1, 2, 3])
    run.fail("n0-0-n1")

    assert run.state.phase == "FAILED"
    assert run.phase("n0-0-n0") == "ABORTED"
    assert run.phase("n0") == "FAILED"
    aborts = {m.node_id for m in run.sent if isinstance(m, d.AbortTask)}
    assert aborts == {"n0-0-n0", "n0-0-n2"}
    assert run.state.failure is not None
    assert run.state.failure.code == "Boom"
    assert "[1]: it broke" in run.state.failure.message
    assert not run.state.active


@pytest.mark.parametrize("criteria", [{"min_successes": 2}, {"min_success_ratio": 0.5}])
def test_enough_successes_make_the_rest_none(criteria: dict[str, Any]) -> None:
    """Elements that failed stand in the list as none."""
    run = engine([1, 2, 3], **criteria)
    run.fail("n0-0-n1")
    assert run.state.phase == "RUNNING"
    run.succeed("n0-0-n0", 7)
    run.succeed("n0-0-n2", 9)

    assert run.state.phase == "SUCCEEDED"
    assert outputs_of(run) == [7, None, 9]


def test_all_elements_may_be_run_though_it_is_lost() -> None:
    """With run_all_sub_nodes the array fails only when every element has ended."""
    run = engine([1, 2], run_all_sub_nodes=True)
    run.fail("n0-0-n0")
    assert run.state.phase == "RUNNING"
    run.succeed("n0-0-n1")

    assert run.state.phase == "FAILED"


def test_each_element_has_retries_of_its_own() -> None:
    """A recoverable failure tries the element again; the array stays at attempt 0."""
    run = engine([1, 2], retries=1)
    run.fail("n0-0-n1", recoverable=True)
    again = run.run_of("n0-0-n1")
    assert (again.attempt, again.array_index) == (1, 1)
    assert again.inputs.inline == lists(x=[1, 2])
    run.succeed("n0-0-n1", 2)
    run.succeed("n0-0-n0", 1)

    assert outputs_of(run) == [1, 2]
    assert run.state.nodes["n0"].attempt == 0


def test_an_array_without_a_list_is_the_authors_mistake() -> None:
    """InvalidArrayLength isn't tried again."""
    run = engine(None)

    assert run.state.failure is not None
    assert run.state.failure.code == "InvalidArrayLength"
    assert run.state.failure.kind == "USER"


def test_large_lists_are_counted_by_the_runner() -> None:
    """The size comes with the resolved inputs; dispatches have no list."""
    run = engine([], big=True)
    asked = [m for m in run.sent if isinstance(m, d.ResolveInputs)]
    assert asked[0].array == d.ArrayShape(bound=(), inline_max=2048)
    whole = Values(uri="whole", digest="1", size=10**6)
    run.do(c.ReportInputsResolved(node_id="n0", attempt=0, inputs=whole, size=3))

    assert [m.inputs for m in run.runs()] == [whole] * 3
    assert run.phase("n0") == "QUEUED"


def test_large_outputs_are_gathered_by_the_runner() -> None:
    """Elements whose outputs lie in blobs aren't read by the decider."""
    run = engine([1, 2], min_successes=1)
    run.fail("n0-0-n0")
    big = replace(success(run.run_of("n0-0-n1")), outputs=Values(uri="b", size=99))
    run.do(big)
    asked = [m for m in run.sent if isinstance(m, d.GatherOutputs)]
    assert len(asked) == 1
    assert (asked[0].size, asked[0].indexes) == (2, (1,))
    assert asked[0].names == ("o0",)
    report = c.ReportOutputsGathered(
        node_id="n0", attempt=0, outputs=Values(uri="all", size=9)
    )
    run.do(report)

    assert run.state.nodes["n0"].outputs == Values(uri="all", size=9)
    assert run.do(report) == []


def test_wide_arrays_are_gathered_by_a_message_that_the_log_can_hold() -> None:
    """What lies in blobs is named, and not carried beyond half a megabyte."""
    width, each = 2_500, bytes(400)
    run = engine([1] * width, big=True)
    whole = Values(uri="whole", digest="1", size=10**6)
    run.do(c.ReportInputsResolved(node_id="n0", attempt=0, inputs=whole, size=width))
    for index in range(width):
        run.do(
            replace(
                success(run.run_of(f"n0-0-n{index}")),
                outputs=Values(inline=each, uri="b", digest="d" * 64, size=400),
            )
        )
    (asked,) = [m for m in run.sent if isinstance(m, d.GatherOutputs)]
    carried = [source for source in asked.sources if source.inline is not None]

    assert len(asked.sources) == width
    assert all(source.uri == "b" for source in asked.sources)
    assert len(carried) * len(each) <= 2**19
    assert len(codec.encode(asked)) < 2**20


def test_outputs_that_cant_be_gathered_fail_the_array() -> None:
    """The runner's word ends the node."""
    run = engine([1])
    run.do(replace(success(run.run_of("n0-0-n0")), outputs=Values(uri="b", size=99)))
    gone = Failure(code="OutputsNotFound", message="gone", kind="SYSTEM")
    run.do(c.ReportOutputsGathered(node_id="n0", attempt=0, failure=gone))

    assert run.state.failure == gone


def test_an_array_takes_one_slot() -> None:
    """Elements don't count against max_parallelism."""
    run = engine([1, 2, 3], parallelism=1)

    assert run.state.slots == 1
    assert len(run.runs()) == 3


def children(run: Engine) -> list[c.CreateExecution]:
    """Return the children asked for."""
    sent = [m.command for m in run.sent if isinstance(m, Send)]
    return [m for m in sent if isinstance(m, c.CreateExecution)]


def test_launch_plans_get_each_their_own_inputs() -> None:
    """Each index is a child execution with item i of each list."""
    run = engine([5, 6], launch_plan="lp")
    asked = children(run)
    assert [m.inputs for m in asked] == [values(x=5), values(x=6)]
    assert len({m.name for m in asked}) == 2
    for number, child in enumerate(asked):
        assert isinstance(child.parent, ParentNode)
        run.do(
            c.ReportChild(
                node_id=child.parent.node_id,
                attempt=0,
                child=f"p/d/{child.name}",
                phase="SUCCEEDED",
                outputs=Values(inline=values(o0=number)),
            )
        )

    assert outputs_of(run) == [0, 1]


def test_launch_plans_over_large_lists_have_their_items_resolved() -> None:
    """Item i is taken out of the list by the runner."""
    run = engine([], big=True, launch_plan="lp")
    whole = Values(uri="whole", digest="1", size=10**6)
    run.do(c.ReportInputsResolved(node_id="n0", attempt=0, inputs=whole, size=2))
    asked = [m for m in run.sent if isinstance(m, d.ResolveInputs)][1:]
    assert [m.node_id for m in asked] == ["n0-0-n0", "n0-0-n1"]
    assert {m.sources[0].values for m in asked} == {whole}
    item = Values(inline=values(x=6))
    run.do(c.ReportInputsResolved(node_id="n0-0-n1", attempt=0, inputs=item))

    assert [m.inputs for m in children(run)] == [values(x=6)]


def test_termination_reaches_every_element() -> None:
    """Elements and children are aborted with the execution."""
    run = engine([5, 6], launch_plan="lp")
    run.do(c.TerminateExecution(cause="enough"))
    ended = [m for m in run.sent if isinstance(m, Send)]

    assert [type(m.command) for m in ended[-2:]] == [c.TerminateExecution] * 2
    assert not run.state.active


def test_no_scan_of_elements_for_a_event() -> None:
    """An element's end yields its own events, however wide the array is."""
    run = engine([1] * 150)
    events = run.do(success(run.run_of("n0-0-n7")))

    kinds = [type(event) for event in events]
    assert ne.ArrayGathering not in kinds
    assert len(events) < 10


def test_failures_of_elements_dont_block_what_comes_after() -> None:
    """Under the late policy a successor of a tolerant array runs."""
    tasks = (task_template("m"), task_template())
    nodes = [array_node("n0", "", min_successes=1), task_node("n1", after=["n0"])]
    graph = definition(nodes, "n1", tasks=tasks, fail_late=True)
    run = Engine(graph, replace(created(), inputs=Values(inline=lists(x=[1, 2]))))
    run.begin()
    run.fail("n0-0-n0")
    run.succeed("n0-0-n1")

    assert run.run_of("n1").node_id == "n1"


def test_sizes() -> None:
    """Lists of one length make a size; bound ones aren't asked."""
    literals = literals_pb2.LiteralMap.FromString(lists(a=[1, 2], b=[1]))

    assert array_size(literals, {"b"}) == 2
    unequal = array_size(literals, set())
    assert isinstance(unequal, Failure)
    assert "'a' 2, 'b' 1" in unequal.message
    assert array_size(literals, {"a", "b"}) == 1


def test_a_ratio_is_meant_as_it_was_written() -> None:
    """A ratio travels with 24 bits; six tenths of five are three."""
    node = array_node("n0", "", min_success_ratio=0.6)

    assert required_successes(node.array_node, 5) == 3
    assert required_successes(node.array_node, 10_000) == 6000


def test_gathering_fills_in_what_is_missing() -> None:
    """Names stand for lists of one length, whatever elements yielded."""
    one = literals_pb2.LiteralMap(literals={"o0": integer(1)})
    found = collect_outputs(("o0",), 3, {1: one})

    kinds = [
        i.scalar.WhichOneof("value") for i in found.literals["o0"].collection.literals
    ]
    assert kinds == ["none_type", "primitive", "none_type"]


def test_long_ids_of_elements_never_meet() -> None:
    """Where an id would be hashed, the index stays outside of the hash."""
    long = "a-node-with-a-long-name"
    ids = {element_id(long, 0, index) for index in range(20_000)}

    assert len(ids) == 20_000
    assert max(map(len, ids)) <= 20


def test_an_arrays_own_attempt_is_run_by_nobody() -> None:
    """Neither a lost lease nor a report can hand it out, or end it, as a task's."""
    run = engine([5, 6, 7])
    run.do(start(run.run_of("n0-0-n0")))
    lost = c.ExpireLease(node_id="n0", attempt=0, dispatch_no=0, reason="gone")
    foreign = replace(success(run.run_of("n0-0-n0")), node_id="n0")

    assert run.do(lost) == []
    assert run.do(foreign) == []


def test_a_restored_array_holds_no_lease() -> None:
    """Only what a runner has begun is watched after a restore: its elements."""
    run = engine([5, 6, 7])
    run.do(start(run.run_of("n0-0-n0")))
    leases = Leases(timeout_s=1)
    leases.restore("s", EXECUTIONS.leases.held(run.state), now_s=0.0)
    leases.tick()

    assert [command.node_id for _, command in leases.expired(now_s=1.0)] == ["n0-0-n0"]
