"""Statuses: every failure ends a call with a code and a text, never with UNKNOWN."""

from __future__ import annotations

from typing import Any

import grpc
import psycopg
import pytest
from flyteidl.admin import event_pb2, version_pb2
from google.rpc import status_pb2
from structlog.testing import capture_logs

from gateway.rest.local_call import CallError, RestContext
from gateway.services.errors import (
    CODES,
    DETAIL_BYTES_MAX,
    RpcError,
    accepted,
    guarded,
    invalid,
    missing,
    status_of,
    truncated,
)
from infra.blobs.files import BlobNotFoundError, BlobTooLargeError, InvalidBlobPathError
from infra.errors import ConflictError, Dependency, TransientError
from schemas.messages.rejections import Reason, Rejected


class Base:
    """A servicer as flyteidl generates it."""

    def GetVersion(self, request: Any, context: Any) -> Any:
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        raise NotImplementedError("Method not implemented!")

    def GetTask(self, request: Any, context: Any) -> Any:
        raise NotImplementedError("Method not implemented!")


@guarded
class Served(Base):
    """Serves one RPC, which raises what it is given."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error

    async def GetVersion(self, request: Any, context: Any) -> Any:
        if self.error is not None:
            raise self.error
        return version_pb2.GetVersionResponse()


async def ended(servicer: Served, rpc: str = "GetVersion") -> tuple[CallError, Any]:
    """Return how a call ended, and its context."""
    context = RestContext()
    with pytest.raises(CallError) as failed:
        await getattr(servicer, rpc)(None, context)
    return failed.value, context


def test_each_reason_has_its_code() -> None:
    """A rejection's reason is the name of the status that clients see."""
    assert {reason: code.name for reason, code in CODES.items()} == {
        reason: reason.value for reason in Reason
    }


def test_a_rejection_becomes_a_refusal() -> None:
    """What was accepted passes, what was rejected is raised with its detail."""
    assert accepted(7) == 7
    with pytest.raises(RpcError) as refused:
        accepted(Rejected(Reason.ALREADY_EXISTS, "Expected x, but y"))
    assert grpc.StatusCode.ALREADY_EXISTS is refused.value.code
    assert "Expected x, but y" == refused.value.detail


def test_what_is_missing_is_told_as_flyte_does() -> None:
    """NOT_FOUND texts begin as Flyte's do."""
    detail = missing("TASK", "p/d/n/v").detail
    assert "missing entity of type TASK with identifier p/d/n/v" == detail


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (invalid("no"), grpc.StatusCode.INVALID_ARGUMENT),
        (BlobNotFoundError("gone"), grpc.StatusCode.NOT_FOUND),
        (BlobTooLargeError("large"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (InvalidBlobPathError("outside"), grpc.StatusCode.INVALID_ARGUMENT),
        (ConflictError("others"), grpc.StatusCode.ABORTED),
        (psycopg.DataError("NUL\nLINE 1"), grpc.StatusCode.INVALID_ARGUMENT),
        (psycopg.OperationalError("away"), grpc.StatusCode.UNAVAILABLE),
        (TransientError("away"), grpc.StatusCode.UNAVAILABLE),
        (ValueError("a bug"), grpc.StatusCode.INTERNAL),
        (NotImplementedError(), grpc.StatusCode.INTERNAL),
        (RecursionError(), grpc.StatusCode.INTERNAL),
    ],
)
async def test_every_failure_has_a_code(
    error: Exception, code: grpc.StatusCode
) -> None:
    """Whatever a handler raises ends the call with a code that isn't UNKNOWN."""
    with capture_logs():
        failed, _ = await ended(Served(error))
    assert code is failed.code
    assert failed.details


async def test_values_that_no_index_holds_are_invalid() -> None:
    """It is no outage, though psycopg's class says so: clients would retry."""
    failed, _ = await ended(Served(psycopg.errors.ProgramLimitExceeded("too long")))
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failed.details.startswith("Expected values that can be stored, but: ")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (psycopg.OperationalError("host x"), "Cannot reach Postgres now: "),
        (TransientError("host x"), "Cannot reach the event log or a store now: "),
        (TransientError("host x", Dependency.DISK), "Cannot reach the disk now: "),
        (ValueError("x"), "GetVersion failed: see error id "),
    ],
)
async def test_an_outage_is_named(error: Exception, text: str) -> None:
    """The client learns what is out of reach; addresses stay in the log."""
    with capture_logs():
        failed, _ = await ended(Served(error))
    assert failed.details.startswith(text)
    assert "host x" not in failed.details


async def test_a_surprise_is_logged_under_the_id_that_the_client_gets() -> None:
    """The client sees no trace, only the id under which the log has it."""
    with capture_logs() as logs:
        failed, _ = await ended(Served(ValueError("secret path /etc/x")))
    (line,) = logs
    assert "rpc_failed" == line["event"]
    assert line["error_id"] in failed.details
    assert isinstance(line["exc_info"], ValueError)
    assert "secret" not in failed.details


async def test_what_is_served_passes() -> None:
    """A handler that returns is left alone."""
    assert version_pb2.GetVersionResponse() == await Served().GetVersion(
        None, RestContext()
    )


async def test_an_rpc_that_is_not_there_says_so() -> None:
    """An RPC without a handler is UNIMPLEMENTED, by name."""
    failed, _ = await ended(Served(), "GetTask")
    assert grpc.StatusCode.UNIMPLEMENTED is failed.code
    assert "GetTask" in failed.details


async def test_an_abort_inside_passes() -> None:
    """A handler may abort by itself; that is no surprise."""
    failed, _ = await ended(Served(CallError(grpc.StatusCode.ABORTED, "mine")))
    assert (grpc.StatusCode.ABORTED, "mine") == (failed.code, failed.details)


async def test_reasons_travel_beside_the_text() -> None:
    """Programs find why in the details, as Flyte attaches them."""
    reason = event_pb2.EventFailureReason()
    reason.already_in_terminal_state.current_phase = "SUCCEEDED"
    refused = RpcError(grpc.StatusCode.FAILED_PRECONDITION, "it ended", reason)
    _, context = await ended(Served(refused))

    ((key, data),) = context.trailing_metadata()
    assert "grpc-status-details-bin" == key
    status = status_pb2.Status.FromString(data)
    found = event_pb2.EventFailureReason()
    assert status.details[0].Unpack(found)
    assert (reason, 9, "it ended") == (found, status.code, status.message)


async def test_a_long_text_leaves_no_room_for_reasons() -> None:
    """Text and reasons share the header: a long text goes alone."""
    reason = event_pb2.EventFailureReason()
    refused = RpcError(grpc.StatusCode.FAILED_PRECONDITION, "x" * 5_000, reason)
    failed, context = await ended(Served(refused))
    assert () == context.trailing_metadata()
    assert 5_000 == len(failed.details)


async def test_a_text_too_long_is_cut() -> None:
    """A text longer than a header takes is cut, so that the status arrives."""
    failed, _ = await ended(Served(invalid("x" * 50_000)))
    assert DETAIL_BYTES_MAX == len(failed.details)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("abc", "abc"),
        ("abcdefg", "abcdef"),
        ("a\nb\nc", "a\nb"),
        ("%%%", "%%"),
        ("é", "é"),
    ],
)
def test_a_text_is_measured_as_it_travels(text: str, fits: str) -> None:
    """All but plain ASCII takes three bytes for each of its own in a header."""
    assert fits == truncated(text, 6)


def test_a_refusal_is_its_own_status() -> None:
    """A refusal isn't changed on its way out."""
    refused = invalid("no")
    assert refused is status_of("GetTask", refused)
