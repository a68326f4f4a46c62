"""A consumer group in memory: members, generations, assignments, offsets.

As a broker's coordinator does it, with the eager protocol: one that joins or leaves
makes all members join again, and who doesn't in time is left out.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class FencedInstanceIdError(KafkaError):
    """Another member has the same name; aiokafka knows the code of it only."""


class Joined(NamedTuple):
    """What a member is told once all have joined."""

    member: str
    generation: int
    assigned: frozenset[TopicPartition]


@dataclass(slots=True, eq=False, kw_only=True, repr=False)
class Member:
    """One member: `waiting` is set while it waits for the others to join."""

    id: str
    instance: str | None
    topics: frozenset[str]
    session_s: float
    rebalance_s: float
    assigned: frozenset[TopicPartition] = frozenset()
    waiting: asyncio.Future[Joined] | None = None
    expiry: asyncio.TimerHandle | None = None


@dataclass(slots=True, repr=False)
class Group:
    """A group: `partitions` returns how many a topic has."""

    name: str
    context: contextvars.Context
    partitions: Callable[[str], int]
    generation: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    _deadline: asyncio.TimerHandle | None = None
    _numbers: int = 0

    @property
    def is_rebalancing(self) -> bool:
        """Return whether members are asked to join again."""
        return self._deadline is not None

    def join(
        self,
        member_id: str,
        instance: str | None,
        topics: frozenset[str],
        session_s: float,
        rebalance_s: float,
    ) -> asyncio.Future[Joined]:
        """Join, again or for the first time: done once all members have."""
        joined = asyncio.get_running_loop().create_future()
        member = self.members.get(member_id) or self._static(instance)
        if member is None:
            member = Member(
                id=self._new_id(), instance=instance, topics=topics,
                session_s=session_s, rebalance_s=rebalance_s,
            )  # fmt: skip
            self.members[member.id] = member
        elif member.id != member_id:
            self._replace(member)
            if not self.is_rebalancing and member.topics == topics:
                joined.set_result(Joined(member.id, self.generation, member.assigned))
                return joined
        member.topics = topics
        self._touch(member)
        if member.waiting is not None and not member.waiting.done():
            member.waiting.cancel()
        member.waiting = joined
        self._rebalance()
        return joined

    def _new_id(self) -> str:
        self._numbers += 1
        return f"{self.name}-{self._numbers:06}"

    def _static(self, instance: str | None) -> Member | None:
        if instance is None:
            return None
        return next((m for m in self.members.values() if m.instance == instance), None)

    def _replace(self, member: Member) -> None:
        """Give a static member that came back a new id: the old one is fenced."""
        del self.members[member.id]
        member.id = self._new_id()
        self.members[member.id] = member
        self._touch(member)

    def leave(self, member_id: str) -> None:
        """Leave: the others share what it had."""
        self._remove(member_id)

    def heartbeat(self, member_id: str, generation: int, instance: str | None) -> None:
        """Tell that a member is alive; raises what it must do instead."""
        member = self._member(member_id, instance)
        self._touch(member)
        if self.is_rebalancing:
            raise RebalanceInProgressError
        if generation != self.generation:
            raise IllegalGenerationError

    def commit(
        self,
        member_id: str,
        generation: int,
        offsets: Mapping[TopicPartition, int],
        instance: str | None = None,
    ) -> None:
        """Store offsets; only those of the members of now may."""
        if member_id or self.members:
            try:
                self._member(member_id, instance)
            except UnknownMemberIdError as error:
                raise CommitFailedError("not a member any more") from error
            if generation != self.generation:
                raise CommitFailedError("of an older generation")
        for at, offset in offsets.items():
            self.offsets[at.topic, at.partition] = offset

    def forget_offsets(self) -> None:
        """Forget all offsets, as a broker does of a group that was away for long."""
        self.offsets.clear()

    def ask_to_join(self) -> None:
        """Let all members join again: the partitions have changed."""
        self._rebalance()

    def _member(self, member_id: str, instance: str | None) -> Member:
        member = self.members.get(member_id)
        if member is None:
            if self._static(instance) is not None:
                raise FencedInstanceIdError
            raise UnknownMemberIdError
        return member

    def _touch(self, member: Member) -> None:
        if member.expiry is not None:
            member.expiry.cancel()
        member.expiry = asyncio.get_running_loop().call_later(
            member.session_s, self._expire, member, context=self.context
        )

    def _expire(self, member: Member) -> None:
        if member.waiting is None:  # who waits for the others is alive
            self._remove(member.id)

    def _remove(self, member_id: str) -> None:
        member = self.members.pop(member_id, None)
        if member is None:
            return
        if member.expiry is not None:
            member.expiry.cancel()
        if self.members:
            self._rebalance()
        elif self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _rebalance(self) -> None:
        """Ask all to join again; done once all have, or after a while."""
        if self._deadline is None:
            longest_s = max(member.rebalance_s for member in self.members.values())
            self._deadline = asyncio.get_running_loop().call_later(
                longest_s, self._complete, context=self.context
            )
        if all(member.waiting is not None for member in self.members.values()):
            self._complete()

    def _complete(self) -> None:
        """Leave out who didn't join, and assign the partitions to the others."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        for member in [m for m in self.members.values() if m.waiting is None]:
            if member.expiry is not None:
                member.expiry.cancel()
            del self.members[member.id]
        self.generation += 1
        self._assign()
        for member in self.members.values():
            waiting, member.waiting = member.waiting, None
            self._touch(member)
            if waiting is not None and not waiting.done():
                joined = Joined(member.id, self.generation, member.assigned)
                waiting.set_result(joined)

    def _assign(self) -> None:
        """Deal out partitions in turn, over the members in the order of their ids."""
        members = sorted(self.members.values(), key=lambda m: m.instance or m.id)
        shares: dict[str, set[TopicPartition]] = {m.id: set() for m in members}
        turn = itertools.cycle(members)
        for topic in sorted({topic for m in members for topic in m.topics}):
            for number in range(self.partitions(topic)):
                while topic not in (member := next(turn)).topics:
                    pass
                shares[member.id].add(TopicPartition(topic, number))
        for member in members:
            member.assigned = frozenset(shares[member.id])
