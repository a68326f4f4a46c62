"""A catalog in memory, whose look and absence the test decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from infra.errors import TransientError
from projections.queries.catalog import Hit
from schemas import topics
from schemas.ids import AttemptRef, CatalogKey, execution_of
from schemas.messages.node_events import CachePopulated
from schemas.wire import codec
from schemas.wire.codec import Codec
from tests.support.fakes import MemoryData


@dataclass
class MemoryCatalog:
    """Kept outputs; `late` ones are seen once it has caught up."""

    kept: dict[CatalogKey, Hit] = field(default_factory=dict)
    late: dict[CatalogKey, Hit] = field(default_factory=dict)
    owners: dict[CatalogKey, str] = field(default_factory=dict)
    extended: list[str] = field(default_factory=list)
    away: int = 0

    async def find(self, key: CatalogKey) -> Hit | None:
        """Return what is kept."""
        self._answer()
        return self.kept.get(key)

    async def caught_up(self) -> bool:
        """See what was late."""
        self._answer()
        self.kept |= self.late
        return True

    async def reserve(self, key: CatalogKey, owner: str) -> bool:
        """Give it to the first who asks."""
        self._answer()
        return self.owners.setdefault(key, owner) == owner

    async def extend(self, owners: Sequence[str]) -> None:
        """Note who is at work."""
        self._answer()
        self.extended.extend(owners)

    async def release(self, key: CatalogKey, owner: str) -> None:
        """Take it back."""
        if self.owners.get(key) == owner:
            del self.owners[key]

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise TransientError("Expected the catalog to answer, but it is away")


class EventCatalog(MemoryCatalog):
    """A catalog that knows at once what the events of a log tell."""

    def __init__(self, data: MemoryData, messages: Codec = codec.ENGINE) -> None:
        """Stand on a log's data, of these messages."""
        super().__init__()
        self.data, self.messages, self.seen = data, messages, 0

    def _answer(self) -> None:
        super()._answer()
        fresh, self.seen = self.data.records[self.seen :], len(self.data.records)
        for record in fresh:
            if record.topic != topics.EVENTS or not record.envelope.sequence:
                continue
            event = self.messages.decode(record.body)
            if isinstance(event, CachePopulated):
                self._keep(record.envelope.stream, event)

    def _keep(self, stream: str, event: CachePopulated) -> None:
        source = AttemptRef(
            execution=execution_of(stream),
            node_id=event.node_id,
            attempt=event.attempt,
            task=event.task,
        )
        self.kept[event.key] = Hit(outputs=event.outputs, source=source)
        self.owners.pop(event.key, None)
