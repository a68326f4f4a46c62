"""What goes on in an event loop: who runs, and where everybody waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

_SHOWN = 12


class RunawayError(Exception):
    """A run takes more steps than any should: it may never end."""


def running(handles: Iterable[asyncio.Handle]) -> list[str]:
    """Return where the tasks are that the loop will run next."""
    return [_where(task) for handle in handles if (task := _task_of(handle))]


def runaway(
    now_s: float, steps: int, passed_s: float, seen: Counter[str]
) -> RunawayError:
    """Return the error of a run: `seen` are the tasks of its last steps."""
    waiting = Counter(_where(task) for task in asyncio.all_tasks() if not task.done())
    text = [
        f"Expected a run to end, but it goes on after {steps} steps, at {now_s:.3f} s;",
        f"the last steps took {passed_s:.6f} s, and ran:",
        *_lines(seen),
        "all tasks are at:",
        *_lines(waiting),
    ]
    return RunawayError("\n".join(text))


def _lines(counts: Counter[str]) -> list[str]:
    return [f"  {count} x {where}" for where, count in counts.most_common(_SHOWN)]


def _task_of(handle: asyncio.Handle) -> asyncio.Task[Any] | None:
    """Return the task that a handle steps; None of another callback."""
    callback: Any = handle._callback  # type: ignore[attr-defined]
    for found in (callback, *(handle._args or ())):  # type: ignore[attr-defined]
        owner = getattr(found, "__self__", None)
        if isinstance(owner, asyncio.Task):
            return owner
    return None


def _where(task: asyncio.Task[Any]) -> str:
    """Return where a task waits: the outermost and innermost lines outside asyncio."""
    awaited: Any = task.get_coro()
    frames = []
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None)
        if frame is not None and "/asyncio/" not in frame.f_code.co_filename:
            frames.append(frame)
        awaited = getattr(awaited, "cr_await", None) or getattr(
            awaited, "ag_await", None
        )
    if not frames:
        return task.get_name()
    return " > ".join(dict.fromkeys(map(_line, (frames[0], frames[-1]))))


def _line(frame: Any) -> str:
    code = frame.f_code
    file = "/".join(code.co_filename.split("/")[-2:])
    return f"{code.co_qualname} ({file}:{frame.f_lineno})"
