"""Raw containers as processes: files in, files out, whatever paths they name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from flyteidl.core import literals_pb2, types_pb2

from infra.blobs.files import FileBlobs
from schemas.values import Values
from tests.integration.test_process_plugin import Run, new_plugin, run_task
from tests.support.flytekit import tasks as t
from workers.plugins.plugin import Failed, Succeeded

pytestmark = pytest.mark.integration
INTEGER, STRING = types_pb2.INTEGER, types_pb2.STRING


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    """Return an empty store."""
    return FileBlobs(tmp_path / "blobs")


@pytest.fixture
async def run(tmp_path: Path, blobs: FileBlobs) -> AsyncIterator[Run]:
    """Return what carries a task out from start to end."""
    plugin = new_plugin(tmp_path, blobs)
    yield lambda template, **more: run_task(plugin, blobs, template, "n0", **more)
    plugin.close()


def raw(script: str, **outputs: int) -> Any:
    """Return a raw container of a shell script with the input a."""
    template = t.container_task(
        ["sh", "-c", script], {"a": INTEGER}, outputs, kind="raw-container"
    )
    config = template.container.data_config
    config.enabled, config.input_path, config.output_path = True, "/in", "/in/out/"
    return template


async def test_files_in_and_out(run: Run) -> None:
    """Inputs are files and arguments; outputs are files of their names."""
    script = (
        "cat /in/a > /in/out/text; expr 2 '*' {{.inputs.a}} > /in/out/number;"
        "grep -q '\"a\": 21' /in/inputs.json"
    )
    found = await run(raw(script, text=STRING, number=INTEGER))

    assert isinstance(found, Succeeded), found
    literals = literals_pb2.LiteralMap.FromString(found.outputs.inline or b"").literals
    assert literals["text"].scalar.primitive.string_value == "21"
    assert literals["number"].scalar.primitive.integer == 42


async def test_blobs_in_and_out(run: Run, blobs: FileBlobs) -> None:
    """Files and folders are given by address, and stored below the raw prefix."""
    await blobs.put(blobs.uri("given"), b"hello")
    given = literals_pb2.LiteralMap()
    given.literals["a"].scalar.blob.uri = blobs.uri("given")
    template = raw(
        "cp /in/a /in/out/one; mkdir -p /in/out/all/x; cp /in/a /in/out/all/x"
    )
    for name, parts in (("one", 0), ("all", 1)):
        kind = template.interface.outputs.variables[name].type.blob
        kind.dimensionality = parts
    found = await run(template, inputs=Values(inline=given.SerializeToString()))

    assert isinstance(found, Succeeded), found
    literals = literals_pb2.LiteralMap.FromString(found.outputs.inline or b"").literals
    assert await blobs.get(literals["one"].scalar.blob.uri) == b"hello"
    folder = literals["all"].scalar.blob
    assert folder.metadata.type.dimensionality == types_pb2.BlobType.MULTIPART
    assert await blobs.get(f"{folder.uri}/x/a") == b"hello"


@pytest.mark.parametrize(
    ("script", "code", "text"),
    [
        ("true", "OutputUploadFailed", "number"),
        ("echo x > /in/out/number", "OutputUploadFailed", "invalid literal"),
        ("yes 1 | head -c 2000 > /in/out/number", "OutputUploadFailed", "1024 bytes"),
        ("echo no good > /in/out/errors.pb", "USER:ContainerError", "no good"),
        ("exit 3", "Error", "exited with 3"),
    ],
)
async def test_failures_name_what_is_wrong(
    run: Run, script: str, code: str, text: str
) -> None:
    """No file, no number, too much of it; a complaint; an exit code."""
    found = await run(raw(script, number=INTEGER))

    assert isinstance(found, Failed)
    assert found.failure.code == code
    assert text in found.failure.message


async def test_other_paths_stay(run: Run, tmp_path: Path) -> None:
    """A path that only begins like the container's is none of its."""
    other = tmp_path / "in2"
    script = f"echo /in2 > {other}; echo -n 1 > /in/out/number"
    assert isinstance(await run(raw(script, number=INTEGER)), Succeeded)
    assert other.read_text() == "/in2\n"


async def test_a_pods_primary_container_runs(run: Run) -> None:
    """Its command, arguments and environment count; the other containers don't."""
    template = t.container_task([], outputs={"text": STRING}, kind="some-plugin")
    template.ClearField("container")
    pod = template.k8s_pod
    pod.primary_container_name = "main"
    pod.data_config.enabled, pod.data_config.output_path = True, "/out"
    pod.pod_spec.update(
        {
            "containers": [
                {"name": "other", "command": ["false"]},
                {
                    "name": "main",
                    "command": ["sh", "-c"],
                    "args": ["echo -n $WORD > /out/text"],
                    "env": [
                        {"name": "WORD", "value": "hi"},
                        {"name": "SECRET", "valueFrom": {}},
                    ],
                },
            ]
        }
    )
    found = await run(template)
    assert isinstance(found, Succeeded), found
    literals = literals_pb2.LiteralMap.FromString(found.outputs.inline or b"").literals
    assert literals["text"].scalar.primitive.string_value == "hi"

    pod.primary_container_name = "nobody"
    found = await run(template, attempt=1)
    assert isinstance(found, Failed)
    assert found.failure.code == "BadTaskDefinition"
