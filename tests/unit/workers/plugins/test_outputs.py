"""The output protocol: files under a prefix, and their result (ref §6.5)."""

from __future__ import annotations

from pathlib import Path

import pytest
from flyteidl.core import errors_pb2

from infra.blobs.files import FileBlobs
from tests.support.flytekit import tasks as t
from workers.plugins.outputs import DynamicSpec, exit_failure, read_result
from workers.plugins.plugin import Failed, Result, Succeeded


class Prefix:
    """An output prefix, and what is read from it."""

    def __init__(self, folder: Path) -> None:
        self.blobs = FileBlobs(folder)
        self.folder = folder / "out"
        self.folder.mkdir()

    def write(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)

    async def read(self, *declared: str, **limits: int) -> Result:
        limits = {"inline_limit": 100, "bytes_max": 1000, **limits}
        return await read_result(self.blobs, str(self.folder), declared, **limits)

    async def failure(self, *declared: str, **limits: int) -> tuple[str, str, bool]:
        result = await self.read(*declared, **limits)
        assert isinstance(result, Failed), result
        return result.failure.code, result.failure.kind, result.recoverable


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    """Return an empty prefix."""
    return Prefix(tmp_path)


def document(**fields: object) -> bytes:
    """Return a serialized ErrorDocument."""
    error = errors_pb2.ContainerError(**fields)
    return errors_pb2.ErrorDocument(error=error).SerializeToString()


async def test_outputs(prefix: Prefix) -> None:
    """Small outputs come inline and by reference, with the deck if there is one."""
    prefix.write("outputs.pb", t.integers(o0=4))
    prefix.write("deck.html", b"<html>")
    result = await prefix.read("o0")
    assert isinstance(result, Succeeded)
    assert t.number(result.outputs.inline) == 4
    assert result.outputs.uri.endswith("/out/outputs.pb")
    assert result.deck_uri.endswith("/out/deck.html")


async def test_large_outputs_stay_where_they_are(prefix: Prefix) -> None:
    """Outputs beyond the inline limit are given by reference alone."""
    prefix.write("outputs.pb", t.integers(o0=4))
    result = await prefix.read("o0", inline_limit=3)
    assert isinstance(result, Succeeded)
    assert result.outputs.inline is None
    assert result.outputs.size == len(t.integers(o0=4))


async def test_no_outputs_are_fine_if_none_are_declared(prefix: Prefix) -> None:
    """A task without outputs needn't write any."""
    assert isinstance(await prefix.read(), Succeeded)


async def test_missing_outputs(prefix: Prefix) -> None:
    """Missing declared outputs are a user failure: they may come with a retry."""
    expected = ("OutputsNotFound", "UNKNOWN", True)
    assert await prefix.failure("o0") == expected
    prefix.write("outputs.pb", t.integers(o1=4))
    assert await prefix.failure("o0") == expected
    prefix.write("outputs.pb", b"\xff\xff")
    assert await prefix.failure("o0") == ("OutputsNotFound", "SYSTEM", True)


async def test_too_large_outputs(prefix: Prefix) -> None:
    """Outputs beyond the limit fail for good."""
    prefix.write("outputs.pb", t.integers(o0=4))
    assert await prefix.failure("o0", bytes_max=3) == (
        "OutputSizeExceeded", "USER", False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "recoverable"), [("RECOVERABLE", True), ("NON_RECOVERABLE", False)]
)
@pytest.mark.parametrize(
    ("origin", "name"), [(0, "UNKNOWN"), (1, "USER"), (2, "SYSTEM")]
)
async def test_the_error_document_decides(
    prefix: Prefix, kind: str, origin: int, name: str, *, recoverable: bool
) -> None:
    """Kind and recovery come from the document, even if there are outputs too."""
    prefix.write("outputs.pb", t.integers(o0=4))
    data = document(code="C", message="m", kind=kind, origin=origin, worker="w")
    prefix.write("error.pb", data)
    result = await prefix.read("o0")
    assert isinstance(result, Failed)
    assert (result.failure.kind, result.recoverable) == (name, recoverable)
    assert (result.failure.code, result.failure.message) == ("C", "m")
    assert result.failure.worker == "w"


@pytest.mark.parametrize("data", [b"", b"\xff\xff", document()])
async def test_bad_error_documents(prefix: Prefix, data: bytes) -> None:
    """An error that can't be read is a system failure."""
    prefix.write("error.pb", data)
    assert await prefix.failure() == ("ErrorFileBadFormat", "SYSTEM", True)


async def test_dynamic_tasks_write_a_workflow_instead(prefix: Prefix) -> None:
    """The spec that a task wrote is returned, still to be compiled."""
    prefix.write("futures.pb", b"")
    result = await prefix.read("o0")
    assert isinstance(result, DynamicSpec)
    assert result.spec_uri.endswith("/futures.pb")


@pytest.mark.parametrize("code", [-9, 137, 247])
def test_killed_processes_are_interrupted(code: int) -> None:
    """SIGKILL is a system failure."""
    result = exit_failure(code, "tail")
    assert (result.failure.code, result.failure.kind) == ("Interrupted", "SYSTEM")
    assert result.recoverable


@pytest.mark.parametrize(("code", "word"), [(1, "1"), (-11, "SIGSEGV"), (-40, "40")])
def test_other_codes_are_user_failures(code: int, word: str) -> None:
    """Any other exit code is a user failure, with the end of the log."""
    result = exit_failure(code, "the last line")
    assert (result.failure.code, result.failure.kind) == ("Error", "USER")
    assert result.recoverable
    assert word in result.failure.message
    assert "the last line" in result.failure.message


async def test_a_very_long_message_loses_its_middle(prefix: Prefix) -> None:
    """Its beginning and its end say what went wrong; events and lists stay small."""
    message = "first " + "o" * 200_000 + " last"
    prefix.write("error.pb", document(code="X", message=message))
    result = await prefix.read("o0", bytes_max=1_000_000)
    assert isinstance(result, Failed)
    text = result.failure.message
    assert text.startswith("first ooo")
    assert text.endswith("ooo last")
    assert "\n[100011 characters]\n" in text
