"""Command templates and environments, as Flyte fills them in (ref §6.4)."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import literals_pb2
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages.rejections import Rejected
from tests.support.flytekit import tasks as t
from workers.plugins.plugin import Work
from workers.plugins.process.code_bundles import flytekit_command
from workers.plugins.process.command_rendering import (
    Command,
    render_command,
    uses_template_path,
)
from workers.plugins.process.literal_text import literal_text


def work(**fields: Any) -> Work:
    """Return work with addresses that say what they are."""
    return Work(
        dispatch=t.dispatch(t.container_task([]), **fields),
        input_uri="/b/data/inputs.pb",
        output_prefix="/b/data/0/0-i",
        raw_output_prefix="/b/raw/aa/x/0-i",
        checkpoint="/b/raw/aa/x/_flytecheckpoints",
    )


def rendered(*args: str, inputs: bytes = b"", **fields: Any) -> tuple[str, ...]:
    """Return arguments as they are executed."""
    command = render_command(
        work(**fields), t.container_task(list(args)).container, inputs, {}
    )
    assert isinstance(command, Command), command
    return command.args


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{.input}}", "/b/data/inputs.pb"),
        ("{{ .Input }}", "/b/data/inputs.pb"),
        ("{{$input}}", "/b/data/inputs.pb"),
        ("{{.inputPrefix}}", "/b/data"),
        ("a={{.outputPrefix}}/b", "a=/b/data/0/0-i/b"),
        ("{{.rawOutputDataPrefix}}", "/b/raw/aa/x/0-i"),
        ("{{.checkpointOutputPrefix}}", "/b/raw/aa/x/_flytecheckpoints"),
        ("{{.prevCheckpointPrefix}}", '""'),
        ("{{.perRetryUniqueKey}}", "x-n0-0"),
        ("{{.taskTemplatePath}}", "/b/data/0/0-i/task.pb"),
        ("{{.namespace}}", "p-development"),
        ("{{.inputs.a}}", "21"),
        ("{{ .Inputs.a }}-{{.INPUTS.a}}", "21-21"),
        ("{{.unknown}}", "{{.unknown}}"),
        ("{{input}}", "{{input}}"),
        ("plain $HOME {braces}", "plain $HOME {braces}"),
    ],
)
def test_placeholders(text: str, expected: str) -> None:
    """Each placeholder has its value, whatever its case and spacing."""
    assert rendered(text, inputs=t.integers(a=21)) == (expected,)


def test_a_key_begins_with_a_letter() -> None:
    """The key of a retry is a name even if the execution's begins with a digit."""
    assert rendered("{{.perRetryUniqueKey}}", generated_name="1x") == ("a1x",)


def test_a_missing_input_is_rejected() -> None:
    """A command with a missing input is rejected; the text names the input."""
    refused = render_command(
        work(), t.container_task(["{{.inputs.b}}"]).container, b"", {}
    )
    assert isinstance(refused, Rejected)
    assert "'b'" in refused.detail


@given(st.text())
def test_inputs_are_never_filled_in_twice(text: str) -> None:
    """What an input holds is text, even if it looks like a placeholder."""
    literals = literals_pb2.LiteralMap()
    literals.literals["s"].scalar.primitive.string_value = "{{.input}}" + text
    found = rendered("{{.inputs.s}}", inputs=literals.SerializeToString())
    assert found == ("{{.input}}" + text,)


def test_what_identifies_the_execution_wins() -> None:
    """The task's env overrides the engine's; the platform's variables override all."""
    template = t.container_task(
        [], env={"A": "task", "B": "{{.inputs.a}}", "FLYTE_ATTEMPT_NUMBER": "9"}
    )
    dispatched = work(env={"A": "execution", "FLYTE_K8S_ARRAY_INDEX": "3"}, attempt=2)
    base = {"A": "engine", "PATH": "/bin"}
    command = render_command(dispatched, template.container, t.integers(a=1), base)
    assert isinstance(command, Command)
    assert (command.env["A"], command.env["B"]) == ("execution", "1")
    assert command.env["PATH"] == "/bin"
    assert command.env["FLYTE_ATTEMPT_NUMBER"] == "2"
    assert command.env["FLYTE_INTERNAL_EXECUTION_ID"] == "x"
    assert command.env["FLYTE_INTERNAL_EXECUTION_WORKFLOW"] == "p:development:flows.t"
    assert command.own_env.keys() == {"A", "B", "FLYTE_ATTEMPT_NUMBER"}


def test_the_template_is_written_on_demand() -> None:
    """Only a command that names the template's file needs it."""
    assert uses_template_path(["x", "{{ .TaskTemplatePath }}"])
    assert not uses_template_path(["x", "{{.input}}"])


def literal(kind: str, **fields: Any) -> literals_pb2.Literal:
    """Return a primitive literal."""
    found = literals_pb2.Literal()
    primitive = found.scalar.primitive
    if kind in ("duration", "datetime"):
        target = getattr(primitive, kind)
        target.SetInParent()
        for name, value in fields.items():
            setattr(target, name, value)
    else:
        setattr(primitive, kind, fields["value"])
    return found


@pytest.mark.parametrize(
    ("given_literal", "expected"),
    [
        (literal("boolean", value=True), "true"),
        (literal("float_value", value=1.0), "1"),
        (literal("float_value", value=0.25), "0.25"),
        (literal("string_value", value="a b"), "a b"),
        (literal("duration", seconds=3723, nanos=500_000_000), "1h2m3.5s"),
        (literal("duration", seconds=-60), "-1m0s"),
        (literal("duration"), "0s"),
        (literal("datetime", seconds=0), "1970-01-01T00:00:00Z"),
    ],
)
def test_primitives_have_the_text_that_go_gives_them(
    given_literal: Any, expected: str
) -> None:
    """Numbers, times and truth look in commands as Flyte writes them."""
    assert literal_text(given_literal) == expected


def test_lists_have_a_text_and_maps_have_none() -> None:
    """A list is written in brackets; a map is rejected."""
    numbers = literals_pb2.Literal()
    for value in (1, 2):
        item = numbers.collection.literals.add()
        item.scalar.primitive.integer = value
    assert literal_text(numbers) == "[1,2]"
    mapping = literals_pb2.Literal()
    mapping.map.literals["a"].scalar.primitive.integer = 1
    assert isinstance(literal_text(mapping), Rejected)


def test_fast_commands_are_parsed() -> None:
    """The bundle and the inner command are split."""
    args = list(t.python_task("double", t.Path("/b/code.tar.gz")).container.args)
    found = flytekit_command(args)
    assert found is not None
    assert (found.bundle, found.module) == ("/b/code.tar.gz", "flows")
    assert found.args[0] == "pyflyte-execute"
    at = found.args.index("--dynamic-addl-distro")
    assert found.args[at + 1] == "/b/code.tar.gz"
    assert found.args.index("--resolver") == at + 4


@pytest.mark.parametrize("args", [[], ["sh", "-c", "x"], ["pyflyte-fast-execute"]])
def test_other_commands_are_not_flytekits(args: list[str]) -> None:
    """Commands that aren't flytekit's are executed unchanged."""
    assert flytekit_command(args) is None
