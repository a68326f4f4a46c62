"""The inline budget: beyond it outputs and inputs go by reference, whatever their size.

Outputs of one integer take up `SIZE` bytes; each start node holds the inputs, which are
a little smaller.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from domain.execution.context import Limits
from domain.execution.state.inline_outputs import held
from schemas.levels import FORMAT_LEVEL
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import node_events as ne
from schemas.values import Failure, Values
from tests.support.cache_lookups import hit
from tests.support.due_timers import wake
from tests.support.engine import Engine, created, expansion, failure, success
from tests.support.graphs import (
    array_node,
    branch_node,
    cached_template,
    definition,
    given_node,
    launch_plan_node,
    lists,
    task_node,
    task_template,
    values,
)

SIZE = len(values(o0=1))
START = len(values(x=1))
ENOUGH = Limits(inline_budget=10_000)
USED_UP = Limits(inline_budget=START)
"""A budget that the workflow's inputs use up."""
INSIDE = definition([given_node("dn0"), task_node("dn1", "dn0")], "dn1")


def stored(o0: int = 1) -> Values:
    """Return outputs that are inline and in a blob, as tasks write them."""
    return Values(inline=values(o0=o0), uri=f"blob-{o0}", digest="d", size=SIZE)


def by_reference(o0: int = 1) -> Values:
    """Return the same outputs in the blob alone."""
    return replace(stored(o0), inline=None)


def chain(limits: Limits, length: int = 3) -> Engine:
    """Return an execution of n0 > n1 > …, begun."""
    nodes = [task_node(f"n{i}", f"n{i - 1}" if i else "") for i in range(length)]
    engine = Engine(definition(nodes, f"n{length - 1}"), created())
    engine.limits = limits
    engine.begin()
    return engine


def succeed(engine: Engine, node_id: str, o0: int = 1) -> None:
    """Report outputs that are inline and in a blob."""
    run = engine.run_of(node_id)
    engine.do(replace(success(run, o0), outputs=stored(o0)))


def resolve(engine: Engine, inputs: Values | None = None) -> d.ResolveInputs:
    """Answer the last dispatch to resolve inputs, and return it."""
    asked = [m for m in engine.sent if isinstance(m, d.ResolveInputs)][-1]
    given = inputs or Values(uri=asked.input_path, digest="d", size=SIZE)
    engine.do(c.ReportInputsResolved(node_id=asked.node_id, attempt=0, inputs=given))
    return asked


def outputs_of(engine: Engine, node_id: str) -> Values | None:
    """Return the outputs that the state has of a node."""
    return engine.state.nodes[node_id].outputs


def test_within_the_budget_values_are_inline() -> None:
    """One byte is left: the next outputs and inputs still are as they were reported."""
    engine = chain(Limits(inline_budget=START + SIZE + 1))
    succeed(engine, "n0")
    succeed(engine, "n1")

    assert outputs_of(engine, "n1") == stored()
    assert [run.inline_max for run in engine.runs()] == [-1, -1]


def test_what_uses_the_budget_up_is_the_last_to_be_inline() -> None:
    """From then on a runner resolves the inputs, and both are reported by reference."""
    engine = chain(Limits(inline_budget=START + SIZE))
    succeed(engine, "n0", 5)
    assert outputs_of(engine, "n0") == stored(5)
    assert [run.node_id for run in engine.runs()] == ["n0"]

    asked = resolve(engine)
    assert asked.sources == (d.SourceValues(node_id="n0", values=stored(5)),)
    run = engine.run_of("n1")
    assert (run.inputs.inline, run.inline_max) == (None, 0)
    succeed(engine, "n1", 6)
    assert outputs_of(engine, "n1") == by_reference(6)
    assert resolve(engine).inline_max == 0
    assert held(engine.state) == START + SIZE


def test_the_outputs_of_the_execution_go_by_reference_too() -> None:
    """The end node is no exception."""
    engine = chain(USED_UP, length=1)
    resolve(engine)
    succeed(engine, "n0")
    resolve(engine)

    assert engine.state.phase == "SUCCEEDED"
    assert engine.state.outputs is not None
    assert engine.state.outputs.inline is None
    assert held(engine.state) == START


def test_until_the_level_is_open_runners_are_asked_nothing_new() -> None:
    """Older ones report values inline; what the state holds is bounded all the same."""
    engine = Engine(definition([task_node("n0")], "n0"), created())
    engine.limits, engine.format_level = USED_UP, 1
    engine.begin()
    asked = resolve(engine, Values(inline=values(x=1)))
    succeed(engine, "n0")

    assert (asked.inline_max, engine.run_of("n0").inline_max) == (-1, -1)
    assert outputs_of(engine, "n0") == by_reference()


def test_what_is_in_no_blob_stays_inline() -> None:
    """There is no other place where the next node finds it."""
    engine = chain(USED_UP)
    resolve(engine)
    engine.succeed("n0", 7)

    assert outputs_of(engine, "n0") == Values(inline=values(o0=7))
    assert held(engine.state) == START + SIZE


def test_empty_values_need_no_blob() -> None:
    """They take up nothing."""
    engine = chain(USED_UP)
    resolve(engine)
    nothing = Values(inline=b"", uri="blob")
    engine.do(replace(success(engine.run_of("n0")), outputs=nothing))

    assert outputs_of(engine, "n0") == nothing


def test_a_branch_counts_the_outputs_of_its_arm_again() -> None:
    """The state holds both; a branch that uses the budget up goes by reference."""
    node = branch_node("n0", "", task_node("big"), task_node("small"))
    for budget, found in ((2 * SIZE + START, stored()), (START + 1, by_reference())):
        engine = Engine(definition([node], "n0"), created(1))
        engine.limits = Limits(inline_budget=budget)
        engine.begin()
        (run,) = engine.runs()
        succeed(engine, run.node_id)

        assert outputs_of(engine, run.node_id) == stored()
        assert outputs_of(engine, "n0") == found


def array(limits: Limits, **more: int) -> Engine:
    """Return an execution of an array of three elements, begun."""
    graph = definition([array_node("n0", "", **more)], "n0", tasks=[task_template("m")])
    first = replace(created(), inputs=Values(inline=lists(x=[1, 2, 3])))
    engine = Engine(graph, first)
    engine.limits = limits
    engine.begin()
    return engine


def test_elements_count_and_an_array_beyond_is_gathered_by_a_runner() -> None:
    """Its lists are stored by reference, though the report has them inline."""
    start = len(lists(x=[1, 2, 3]))
    engine = array(Limits(inline_budget=start + 2 * SIZE))
    for index in range(3):
        succeed(engine, f"n0-0-n{index}", index)
    found = [outputs_of(engine, f"n0-0-n{index}") for index in range(3)]
    assert found == [stored(0), stored(1), by_reference(2)]

    asked = engine.sent[-1]
    assert isinstance(asked, d.GatherOutputs)
    assert asked.sources[2].uri == "blob-2"
    all_lists = Values(inline=lists(o0=[0, 1, 2]), uri="lists", size=30)
    engine.do(c.ReportOutputsGathered(node_id="n0", attempt=0, outputs=all_lists))
    assert outputs_of(engine, "n0") == replace(all_lists, inline=None)
    assert held(engine.state) == start + 2 * SIZE


def test_an_array_without_elements_is_gathered_by_a_runner_too() -> None:
    """Its empty lists are a blob as well, though no element has let it run."""
    engine = array(Limits(inline_budget=1))
    lists_in_blob = Values(uri="none", digest="d", size=9)
    engine.do(
        c.ReportInputsResolved(node_id="n0", attempt=0, inputs=lists_in_blob, size=0)
    )
    asked = engine.sent[-1]
    assert isinstance(asked, d.GatherOutputs)
    assert (asked.size, asked.sources) == (0, ())
    gathered = Values(inline=lists(o0=[]), uri="lists", size=6)
    engine.do(c.ReportOutputsGathered(node_id="n0", attempt=0, outputs=gathered))

    assert outputs_of(engine, "n0") == replace(gathered, inline=None)


def test_the_lists_of_an_array_are_by_reference_beyond_it() -> None:
    """The runner that resolves them is told so."""
    nodes = [task_node("n0"), array_node("n1", "n0", task="t")]
    engine = Engine(definition(nodes, "n1"), created())
    engine.limits = USED_UP
    engine.begin()
    resolve(engine)
    succeed(engine, "n0")
    asked = engine.sent[-1]

    assert isinstance(asked, d.ResolveInputs)
    assert asked.array is not None
    assert asked.array.inline_max == 0


def test_recovered_outputs_count_and_are_bounded() -> None:
    """A recovery takes over no more of them inline than it could hold itself."""
    original = chain(ENOUGH)
    succeed(original, "n0", 5)
    succeed(original, "n1", 6)
    original.do(failure(original.run_of("n2")))

    again = original.to_recover()
    again.limits = Limits(inline_budget=START + 1)
    again.begin()

    assert outputs_of(again, "n0") == stored(5)
    assert outputs_of(again, "n1") == by_reference(6)
    assert held(again.state) == START + SIZE
    recovered = [f for f in again.events if isinstance(f, ne.NodeRecovered)]
    assert [f.outputs for f in recovered] == [stored(5), by_reference(6)]


def parent(limits: Limits, *, level: int = FORMAT_LEVEL) -> Engine:
    """Return an execution of one child, which was requested."""
    engine = Engine(definition([launch_plan_node("n0", "")], "n0"), created())
    engine.limits, engine.format_level = limits, level
    engine.begin()
    if limits is USED_UP:
        resolve(engine)
    return engine


def ended(engine: Engine, outputs: Values) -> c.ReportChild:
    """Return the report that the child of n0 succeeded."""
    child = engine.state.nodes["n0"].child
    assert child is not None
    return c.ReportChild(
        node_id="n0",
        attempt=0,
        child=child.execution.text(),
        phase="SUCCEEDED",
        outputs=outputs,
    )


def test_the_outputs_of_a_child_count_in_its_parent() -> None:
    """They are by reference there, if they are in a blob of the child's."""
    for limits, found in ((ENOUGH, stored()), (USED_UP, by_reference())):
        engine = parent(limits)
        engine.do(ended(engine, stored()))

        assert outputs_of(engine, "n0") == found


def test_outputs_that_a_child_has_inline_are_stored_first() -> None:
    """The node ends once a runner has done so; until then a repeated report asks again.

    A report of what was stored that comes again changes nothing.
    """
    engine = parent(USED_UP)
    report = ended(engine, Values(inline=values(o0=7)))
    assert engine.do(report) == []
    assert engine.do(report) == []
    first, second = [m for m in engine.sent if isinstance(m, d.GatherOutputs)]

    assert first == second
    assert (first.as_is, first.sources) == (True, (report.outputs,))
    done = c.ReportOutputsGathered(node_id="n0", attempt=0, outputs=stored(7))
    engine.do(done)
    assert outputs_of(engine, "n0") == by_reference(7)
    assert engine.do(done) == []
    assert engine.do(report) == []
    assert len([m for m in engine.sent if isinstance(m, d.GatherOutputs)]) == 2


def test_outputs_of_a_child_that_cannot_be_stored_fail_its_node() -> None:
    """The failure is the node's."""
    engine = parent(USED_UP)
    engine.do(ended(engine, Values(inline=values(o0=7))))
    full = Failure(code="OutputsNotFound", message="full", kind="SYSTEM")
    engine.do(c.ReportOutputsGathered(node_id="n0", attempt=0, failure=full))

    assert engine.phase("n0") == "FAILED"
    assert engine.state.failure == full


def test_nobody_stores_the_outputs_of_a_child_that_was_aborted() -> None:
    """What a runner stores after the end of the execution comes too late."""
    engine = parent(USED_UP)
    engine.do(ended(engine, Values(inline=values(o0=7))))
    engine.do(c.TerminateExecution(cause="enough"))

    done = c.ReportOutputsGathered(node_id="n0", attempt=0, outputs=stored(7))
    assert engine.do(done) == []
    assert engine.state.phase == "ABORTED"


def test_until_the_level_is_open_outputs_of_children_stay_inline() -> None:
    """Older runners would make lists of them."""
    engine = parent(USED_UP, level=1)
    engine.do(ended(engine, Values(inline=values(o0=7))))

    assert outputs_of(engine, "n0") == Values(inline=values(o0=7))


def test_cached_outputs_are_by_reference_beyond_it() -> None:
    """A hit is like a report of the task."""
    engine = Engine(
        definition([task_node("n0")], "n0", tasks=[cached_template()]), created()
    )
    engine.limits = USED_UP
    engine.begin()
    resolve(engine)
    look_up = engine.sent[-1]
    assert isinstance(look_up, d.LookUpCache)
    engine.do(replace(hit(look_up), outputs=stored()))

    assert outputs_of(engine, "n0") == by_reference()


def test_what_an_earlier_attempt_ran_inside_still_counts() -> None:
    """A dynamic node is retried: the state keeps the nodes of its first workflow."""
    template = task_template(retries=1)
    template.metadata.timeout.FromSeconds(10)
    engine = Engine(definition([task_node("n0")], "n0", tasks=[template]), created())
    engine.limits, engine.insides = ENOUGH, {"inside": INSIDE}
    engine.begin()
    engine.do(expansion(engine.run_of("n0"), "inside"))
    succeed(engine, "n0-0-dn0")
    before = held(engine.state)
    wake(engine, engine.state.nodes["n0"].limits.deadline_us)
    assert engine.state.nodes["n0"].attempt == 1
    assert held(engine.state) == engine.inline_outputs == before

    engine.do(expansion(engine.run_of("n0"), "inside"))
    succeed(engine, "n0-1-dn0")
    assert held(engine.state) == engine.inline_outputs == before + SIZE


@pytest.mark.parametrize("retries", [0, 2])
def test_failed_attempts_add_nothing(retries: int) -> None:
    """Only what succeeded has outputs."""
    graph = definition([task_node("n0")], "n0", tasks=[task_template(retries=retries)])
    engine = Engine(graph, created())
    engine.limits = ENOUGH
    engine.begin()
    for _ in range(retries + 1):
        engine.do(failure(engine.run_of("n0"), recoverable=True))

    assert engine.state.phase == "FAILED"
    assert held(engine.state) == engine.inline_outputs == START
