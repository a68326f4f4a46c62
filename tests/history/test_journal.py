"""The journal writes down what a client was told, whatever the call ended with."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from tests.history.journal import Journal
from tests.history.test_checker import STREAM


class _Refused(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.INVALID_ARGUMENT


def test_the_journal_knows_refusals_by_their_status(tmp_path: Path) -> None:
    """flytekit wraps the status: it is looked for among the causes."""
    journal = Journal(tmp_path / "j")
    assert journal.entries() == []

    def call() -> None:
        try:
            raise _Refused
        except grpc.RpcError as error:
            raise ValueError("bad") from error

    with pytest.raises(ValueError, match="bad"), journal.sending("a", "1", "X", STREAM):
        call()
    last = journal.entries()[-1]
    assert (last["answer"], last["detail"]) == ("refused", "INVALID_ARGUMENT")
