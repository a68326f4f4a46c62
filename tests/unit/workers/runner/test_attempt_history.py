"""What a runner reads of the past before its first dispatches."""

from __future__ import annotations

from pathlib import Path

from infra.clock import SYSTEM_CLOCK
from infra.eventlog.contract import Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import attempt_id
from schemas.messages import dispatches as d
from schemas.wire import codec
from tests.support.engine import start
from tests.support.harness.runner_harness import Harness, container
from workers.runner.attempt_history import AttemptHistory
from workers.runner.attempts import AttemptTracker

OTHERS = 500


def report(dispatch: d.RunTask, stream: str) -> Record:
    """Return the report that a task of a stream was started."""
    message = start(dispatch)
    envelope = Envelope(
        id=f"{stream}/report", type=codec.type_name(message), stream=stream
    )
    return Record(
        topic=topics.COMMANDS, key=stream, envelope=envelope, body=codec.encode(message)
    )


async def test_reports_on_what_is_not_to_be_read_are_not_kept(tmp_path: Path) -> None:
    """However many there are since the first dispatch."""
    harness, dispatch = Harness(tmp_path), container()
    await harness.log.open()
    await harness.send(dispatch)
    others = [report(dispatch, f"execution/p/d/s{i}") for i in range(OTHERS)]
    await harness.log.append([*others, report(dispatch, dispatch.stream)])
    attempts = AttemptTracker()
    history = AttemptHistory(harness.log, SYSTEM_CLOCK, attempts)

    await history.read_before(harness.on(topics.DISPATCHES))

    attempt = attempt_id(dispatch.stream, dispatch.node_id, dispatch.attempt)
    assert set(attempts.reported) == {attempt}
    history.reset()
    assert not attempts.reported
