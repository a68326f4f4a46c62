"""Fixtures of the gateway's tests: one gateway a session, its clients and commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from flyteidl.service import admin_pb2_grpc, dataproxy_pb2_grpc
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig

from infra.eventlog.contract import Received
from projections.rows import Outcome
from schemas import topics
from schemas.wire import codec
from tests.support.components.postgres import migrated_database
from tests.support.harness.gateway_harness import RunningGateway, run_gateway

Answer = Callable[[Received], Outcome]


@dataclass
class Calls:
    """The calls that the gateway's interceptor observed."""

    seen: list[tuple[str, str, float]]

    def codes(self, rpc: str) -> list[str]:
        """Return the statuses of an RPC's calls."""
        return [code for name, code, _ in self.seen if name == rpc]


@pytest.fixture(scope="session")
def calls() -> Calls:
    """Return the record of observed calls."""
    return Calls([])


@pytest.fixture(scope="session")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, calls: Calls
) -> Iterator[RunningGateway]:
    """Run a gateway whose commands nobody handles."""
    folder = tmp_path_factory.mktemp("gateway")
    with run_gateway(
        migrated_database(),
        folder,
        observe=lambda *call: calls.seen.append(call),
        command_timeout_s=1.5,
        data_bytes_max=100_000,
    ) as opened:
        yield opened


@pytest.fixture(scope="session")
def channel(gateway: RunningGateway) -> Iterator[grpc.Channel]:
    """Return a plain channel."""
    with grpc.insecure_channel(gateway.endpoint) as opened:
        yield opened


@pytest.fixture(scope="session")
def admin(channel: grpc.Channel) -> Any:
    """Return a stub of AdminService."""
    return admin_pb2_grpc.AdminServiceStub(channel)


@pytest.fixture(scope="session")
def proxy(channel: grpc.Channel) -> Any:
    """Return a stub of DataProxyService."""
    return dataproxy_pb2_grpc.DataProxyServiceStub(channel)


@pytest.fixture(scope="session")
def client(gateway: RunningGateway) -> SynchronousFlyteClient:
    """Return flytekit's own client."""
    config = PlatformConfig(endpoint=gateway.endpoint, insecure=True)
    return SynchronousFlyteClient(config)


@contextmanager
def answering(gateway: RunningGateway, answer: Answer) -> Iterator[list[Any]]:
    """Answer commands as a propeller and its projector would; collect them decoded."""
    commands: list[Any] = []

    async def serve(begun: Future[None]) -> None:
        after = await gateway.services.log.end_positions()
        begun.set_result(None)
        log = gateway.services.log
        batches: AsyncIterator[Any] = log.tail((topics.COMMANDS,), after, 100)
        async for batch in batches:
            for received in batch:
                commands.append(codec.decode(received.body))
                gateway.services.submit.settle(answer(received))

    begun: Future[None] = Future()
    serving = asyncio.run_coroutine_threadsafe(serve(begun), gateway.loop)
    begun.result(10)
    try:
        yield commands
    finally:
        serving.cancel()


def accept(received: Received) -> Outcome:
    """Answer that a command was done."""
    envelope = received.envelope
    return Outcome(command_id=envelope.id, kind="done", event_id=f"{envelope.stream}/1")


def reject(received: Received, reason: str, detail: str) -> Outcome:
    """Answer that a command was rejected."""
    return Outcome(
        command_id=received.envelope.id, kind="rejected", reason=reason, detail=detail
    )


@contextmanager
def refused(code: grpc.StatusCode, detail: str = "") -> Iterator[Any]:
    """Expect a call to end with a status."""
    with pytest.raises(grpc.RpcError) as failed:
        yield failed
    assert code is failed.value.code(), failed.value.details()
    assert detail in failed.value.details(), failed.value.details()
