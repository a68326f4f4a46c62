"""Caching: the key of outputs, and what a node does with the catalog's answer."""

from __future__ import annotations

from typing import Any

from flyteidl.admin import execution_pb2
from flyteidl.core import interface_pb2, literals_pb2
from msgspec.structs import replace

from domain.literals.cache_keys import cache_policy, catalog_key
from schemas.ids import CatalogKey, EntityRef
from schemas.messages import dispatches as d
from schemas.messages import node_events as ne
from schemas.values import Failure, Values
from tests.support.cache_lookups import KEY, SOURCE, hit, miss
from tests.support.engine import Engine, created, names, success
from tests.support.graphs import (
    array_node,
    cached_template,
    definition,
    integer,
    lists,
    task_node,
    task_template,
    values,
)

TASK = EntityRef(kind="TASK", project="p", domain="d", name="t", version="v")


def _map(**literals: Any) -> Any:
    return literals_pb2.LiteralMap(literals=literals)


def _key(inputs: Any, ignored: tuple[str, ...] = (), **changed: Any) -> Any:
    interface = changed.get("interface", cached_template().interface)
    task = changed.get("task", TASK)
    return catalog_key(task, changed.get("version", "1.0"), interface, inputs, ignored)


def _cached(**metadata: Any) -> Engine:
    nodes = [task_node("n0"), task_node("n1", "n0")]
    engine = Engine(
        definition(nodes, "n1", tasks=[cached_template(**metadata)]), created(1)
    )
    engine.begin()
    return engine


def _look_ups(engine: Engine) -> list[d.LookUpCache]:
    return [m for m in engine.sent if isinstance(m, d.LookUpCache)]


def test_the_key_tells_inputs_and_interface_apart() -> None:
    """Other values, names, cache versions, interfaces or tasks give other keys."""
    wider = interface_pb2.TypedInterface()
    wider.CopyFrom(cached_template().interface)
    wider.inputs.variables["x"].description = "changed"
    keys = [
        _key(_map(x=integer(1))),
        _key(_map(x=integer(2))),
        _key(_map(y=integer(1))),
        _key(_map(x=integer(1), y=integer(1))),
        _key(_map(x=integer(1)), version="2.0"),
        _key(_map(x=integer(1)), interface=wider),
        _key(_map(x=integer(1)), task=replace(TASK, name="u")),
    ]

    assert len(set(keys)) == len(keys)
    assert all(isinstance(key, CatalogKey) for key in keys)


def test_the_tasks_version_does_not_count() -> None:
    """A new version of a task reuses the outputs of its older one."""
    newer = replace(TASK, version="w")

    assert _key(_map(x=integer(1)), task=newer) == _key(_map(x=integer(1)))


def test_ignored_inputs_do_not_count() -> None:
    """They may differ, or be missing."""
    key = _key(_map(x=integer(1), y=integer(2)), ("y",))

    assert key == _key(_map(x=integer(1), y=integer(3)), ("y",))
    assert key == _key(_map(x=integer(1)), ("y",))


def test_a_hash_stands_for_its_literal() -> None:
    """At any depth: alone, in a list, in a map, in a union."""

    def shapes(value: int) -> list[Any]:
        hashed = integer(value)
        hashed.hash = "h"
        listed = literals_pb2.Literal()
        listed.collection.literals.extend([integer(1), hashed])
        mapped = literals_pb2.Literal()
        mapped.map.literals["a"].CopyFrom(hashed)
        either = literals_pb2.Literal()
        either.scalar.union.value.CopyFrom(hashed)
        return [hashed, listed, mapped, either]

    one, two = shapes(1), shapes(2)
    assert [_key(_map(x=v)) for v in one] == [_key(_map(x=v)) for v in two]
    assert len({_key(_map(x=v)) for v in one}) == len(one)


def test_an_offloaded_value_counts_by_its_address() -> None:
    """What is in a blob needn't be read to look outputs up."""

    def key(uri: str) -> Any:
        metadata = literals_pb2.LiteralOffloadedMetadata(uri=uri, size_bytes=len(uri))
        return _key(_map(x=literals_pb2.Literal(offloaded_metadata=metadata)))

    assert key("s3://b/1") == key("s3://b/1")
    assert key("s3://b/1") != key("s3://b/2")


def test_a_list_is_no_longer_list_of_its_parts() -> None:
    """The structure counts: [[1], 2] isn't [[1, 2]]."""

    def nested(*parts: list[int]) -> Any:
        outer = literals_pb2.Literal()
        for part in parts:
            inner = outer.collection.literals.add()
            inner.collection.literals.extend(map(integer, part))
        return outer

    assert _key(_map(x=nested([1], [2]))) != _key(_map(x=nested([1, 2])))


def test_a_value_that_is_none_is_refused() -> None:
    """A literal without a value can't be hashed; the failure names the input."""
    found = _key(_map(x=literals_pb2.Literal()))

    assert isinstance(found, Failure)
    assert found.message == (
        "Expected a value in the input 'x' to hash, but it holds nothing"
    )


def test_who_is_cached() -> None:
    """The node's settings override the task's; no outputs or no version: no cache."""
    node = task_node("n0")
    assert cache_policy(task_template(), node) is None
    assert cache_policy(cached_template(cache_serializable=True), node).serializes  # type: ignore[union-attr]
    blank, silent = cached_template(), cached_template()
    blank.metadata.discovery_version = " "
    silent.interface.ClearField("outputs")
    assert cache_policy(blank, node) is None
    assert cache_policy(silent, node) is None
    node.metadata.cacheable = False
    assert cache_policy(cached_template(), node) is None
    node.metadata.cacheable, node.metadata.cache_version = True, "3"
    assert cache_policy(task_template(), node).version == "3"  # type: ignore[union-attr]
    node.metadata.cache_serializable = True
    assert cache_policy(cached_template(), node).serializes  # type: ignore[union-attr]


def test_a_hit_ends_the_node_at_once() -> None:
    """No attempt is made, and what follows begins."""
    engine = _cached()
    assert engine.phase("n0") == "NOT_YET_STARTED"
    events = engine.do(hit(_look_ups(engine)[0], 7))

    assert names(events)[:4] == [
        "NodeQueued", "CacheLookedUp", "NodeSucceeding", "NodeSucceeded",
    ]  # fmt: skip
    assert not engine.runs()
    found = next(f for f in events if isinstance(f, ne.CacheLookedUp))
    assert (found.status, found.source) == ("HIT", SOURCE)
    assert _look_ups(engine)[1].inputs == Values(inline=values(x=7))


def test_a_miss_runs_the_task_and_keeps_its_outputs() -> None:
    """The outputs are an event with the key that was asked for."""
    engine = _cached()
    engine.do(miss(_look_ups(engine)[0]))
    events = engine.succeed("n0", 5)

    kept = [f for f in events if isinstance(f, ne.CachePopulated)]
    assert [(k.key, k.outputs) for k in kept] == [(KEY, Values(inline=values(o0=5)))]


def test_a_repeated_answer_yields_nothing() -> None:
    """Whatever comes after the first answer changes nothing."""
    engine = _cached()
    look_up = _look_ups(engine)[0]
    engine.do(miss(look_up))

    assert engine.do(miss(look_up)) == []
    assert engine.do(hit(look_up)) == []


def test_a_node_waits_for_who_makes_its_outputs() -> None:
    """It is queued and nothing runs, until the outputs are there or it may run."""
    engine = _cached(cache_serializable=True)
    look_up = _look_ups(engine)[0]
    assert look_up.serializes
    engine.do(miss(look_up, "EXISTS"))

    assert engine.phase("n0") == "QUEUED"
    assert not engine.runs()
    assert engine.do(miss(look_up, "EXISTS")) == []
    engine.do(miss(look_up, "ACQUIRED"))
    assert [run.node_id for run in engine.runs()] == ["n0"]


def test_a_waiting_lookup_ends_with_an_abort() -> None:
    """Nothing waits for outputs that never come."""
    from schemas.messages.commands import TerminateExecution

    engine = _cached(cache_serializable=True)
    engine.do(miss(_look_ups(engine)[0], "EXISTS"))
    engine.do(TerminateExecution(cause="enough"))

    assert [m.node_id for m in engine.sent if isinstance(m, d.AbortTask)] == ["n0"]


def test_retries_keep_the_key() -> None:
    """Only the attempt that ends well is kept, once."""
    engine = _cached(retries=1)
    engine.do(miss(_look_ups(engine)[0]))
    events = engine.fail("n0", recoverable=True)
    assert "CachePopulated" not in names(events)
    events = engine.succeed("n0")

    kept = [f for f in events if isinstance(f, ne.CachePopulated)]
    assert [k.attempt for k in kept] == [1]
    assert len(_look_ups(engine)) == 2


def test_incomplete_outputs_are_not_kept() -> None:
    """What would leave later nodes without an input isn't reused."""
    engine = _cached()
    engine.do(miss(_look_ups(engine)[0]))
    report = replace(success(engine.run_of("n0")), outputs=Values(inline=values(o1=1)))
    events = engine.do(report)

    failed = [f for f in events if isinstance(f, ne.CachePutFailed)]
    assert [f.reason for f in failed] == [
        "Expected all outputs of the task, but there is no 'o0'"
    ]


def test_an_execution_may_overwrite() -> None:
    """The look-up asks for the key only, and the outputs are stored again."""
    spec = execution_pb2.ExecutionSpec(overwrite_cache=True).SerializeToString()
    first = replace(created(1), spec=spec)
    engine = Engine(
        definition([task_node("n0")], "n0", tasks=[cached_template()]), first
    )
    engine.begin()
    look_up = _look_ups(engine)[0]
    assert look_up.overwrites
    engine.do(miss(look_up, status="SKIPPED"))

    assert "CachePopulated" in names(engine.succeed("n0"))


def _array(items: list[int]) -> Engine:
    graph = definition(
        [array_node("n0", "")], "n0", tasks=[cached_template("m", retries=1)]
    )
    first = replace(created(), inputs=Values(inline=lists(x=items)))
    engine = Engine(graph, first)
    engine.begin()
    return engine


def test_elements_are_looked_up_by_their_own_items() -> None:
    """Each element's key is its item, and the array ends with hits and runs mixed."""
    engine = _array([5, 6])
    look_ups = _look_ups(engine)
    indexes = [
        literals_pb2.Binding.FromString(look_up.bindings[0])
        .binding.promise.attr_path[0]
        .int_value
        for look_up in look_ups
    ]
    assert indexes == [0, 1]
    assert all(look_up.inputs.inline == lists(x=[5, 6]) for look_up in look_ups)
    engine.do(hit(look_ups[0], 50))
    engine.do(miss(look_ups[1]))
    (run,) = engine.runs()
    events = engine.do(success(run, 60))

    assert "CachePopulated" in names(events)
    assert engine.phase("n0") == "SUCCEEDED"


def test_an_array_of_hits_runs_nothing() -> None:
    """Its one task execution succeeds without any element having run."""
    engine = _array([5, 6])
    for look_up in _look_ups(engine):
        engine.do(hit(look_up))

    assert engine.phase("n0") == "SUCCEEDED"
    assert not engine.runs()
