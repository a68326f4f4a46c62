"""The embedded engine: the only place that builds adapters, wired and supervised."""

from __future__ import annotations

from infra.settings import Settings


async def run(settings: Settings) -> None:
    """Run the engine until SIGTERM or SIGINT; raises what ended it otherwise."""
    raise NotImplementedError
