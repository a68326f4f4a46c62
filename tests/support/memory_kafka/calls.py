"""Calls to a broker in memory: the way there, what it does at once, the way back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from tests.support.memory_kafka.broker import Broker

_T = TypeVar("_T")


async def call(broker: Broker, action: Callable[[], _T]) -> _T:
    """Return a broker's answer.

    Who is cancelled, frozen or killed on the way there hasn't called; on the way back
    it has, and doesn't know.
    """
    await asyncio.sleep(broker.delay_s())
    answer = action()
    await asyncio.sleep(broker.delay_s())
    return answer
