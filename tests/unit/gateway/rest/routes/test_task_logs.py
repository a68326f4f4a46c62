"""Logs over HTTP, at the links that task executions show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from schemas.paths import LOG, path_in
from tests.support.engine import STREAM, begun_chain
from tests.support.harness.read_models import ReadModels
from tests.support.http_server import parts_of, serving

URL = "/logs/p/d/main-1"


async def _get(tmp_path: Path, read_models: ReadModels, path: str) -> Any:
    parts = replace(parts_of(tmp_path), pool=read_models.pool)
    async with serving(parts) as client:
        return await client.get(f"{URL}/{path}")


async def test_the_log_of_an_attempt_is_sent_as_text(
    tmp_path: Path, read_models: ReadModels
) -> None:
    """As it is now: it isn't cached, and browsers don't guess what it is."""
    engine = begun_chain()
    await read_models.given(STREAM, *engine.events)
    parts = parts_of(tmp_path)
    log = path_in(path_in(engine.run_of("n0").output_path, "0-r"), LOG)
    await parts.blobs.put(parts.blobs.uri(log), "é\n".encode())
    reply = await _get(tmp_path, read_models, "n0/0")

    assert (reply.status_code, reply.text) == (200, "é\n")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_what_has_no_log_is_not_found(
    tmp_path: Path, read_models: ReadModels
) -> None:
    """Neither an attempt that wrote nothing, nor a node that isn't there."""
    await read_models.given(STREAM, *begun_chain().events)
    for path in ("n0/0", "n0/7", "nowhere/0"):
        reply = await _get(tmp_path, read_models, path)
        assert reply.status_code == 404
        node, attempt = path.split("/")
        assert reply.text == (
            f"Expected a log of p/d/main-1 {node} attempt {attempt}, "
            "but none was written\n"
        )


async def test_what_a_silent_attempt_wrote_is_empty(
    tmp_path: Path, read_models: ReadModels
) -> None:
    """Once it has ended: a log without a word isn't kept."""
    engine = begun_chain()
    engine.succeed("n0")
    await read_models.given(STREAM, *engine.events)
    reply = await _get(tmp_path, read_models, "n0/0")

    assert (reply.status_code, reply.text) == (200, "")
    assert (await _get(tmp_path, read_models, "n0/1")).status_code == 404
