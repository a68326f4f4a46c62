"""The port to the registry's event streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from infra.postgres.recorder import AlsoWrite
from schemas.messages.registry_events import RegistryEvent


class RegistryStore(Protocol):
    """Streams of registry events, appended to at an expected version."""

    async def load(self, stream: str) -> Sequence[Any]:
        """Return the events of a stream; its name says of which classes they are."""
        ...

    async def append(
        self,
        stream: str,
        expected_version: int,
        events: Sequence[RegistryEvent],
        *,
        actor: str,
        also: AlsoWrite | None = None,
    ) -> None:
        """Append events after a version; raises ConflictError if it isn't the last one.

        `also` runs in the same transaction, with its cursor.
        """
        ...
