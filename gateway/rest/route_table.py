"""REST routes as flyteidl's `google.api.http` annotations name them; matching; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec
from flyteidl.service import (
    admin_pb2,
    auth_pb2,
    dataproxy_pb2,
    identity_pb2,
    signal_pb2,
)
from google.api import annotations_pb2
from google.protobuf import message_factory

FILES = (admin_pb2, dataproxy_pb2, signal_pb2, identity_pb2, auth_pb2)
_METHODS = ("get", "put", "post", "delete", "patch")


class Segment(msgspec.Struct, frozen=True):
    """One part of a path: fixed text, or the field that it fills."""

    text: str
    is_field: bool = False


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One way to call one RPC over HTTP; `body` is '*', a field's name or ''."""

    http_method: str
    path: str
    segments: tuple[Segment, ...]
    body: str
    service: str
    rpc: str
    request: type[Any]
    reply: type[Any]


class Match(msgspec.Struct, frozen=True):
    """A route, and the values that the path gives to fields."""

    route: Route
    fields: dict[str, str]


class OtherMethods(msgspec.Struct, frozen=True):
    """The path is known, but only with these HTTP methods."""

    allowed: tuple[str, ...]


def routes() -> tuple[Route, ...]:
    """Return every REST route of Flyte's services (ref §1.1)."""
    return tuple(
        route
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        for route in _of_method(method)
    )


def _of_method(method: Any) -> Iterator[Route]:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        verb = binding.WhichOneof("pattern")
        if verb not in _METHODS:
            continue
        path = str(getattr(binding, verb))
        yield Route(
            http_method=verb.upper(),
            path=path,
            segments=tuple(_segments(path)),
            body=binding.body,
            service=method.containing_service.full_name,
            rpc=method.name,
            request=message_factory.GetMessageClass(method.input_type),
            reply=message_factory.GetMessageClass(method.output_type),
        )


def _segments(path: str) -> Iterator[Segment]:
    for part in path.strip("/").split("/"):
        if part.startswith("{"):
            yield Segment(part.strip("{}").partition("=")[0], is_field=True)
        else:
            yield Segment(part)


class RouteTable:
    """All routes, found by the number of their segments."""

    def __init__(self, every: Iterable[Route]) -> None:
        """Sort them; fixed text goes before fields where both would fit."""
        self._by_length: dict[int, list[Route]] = {}
        for route in every:
            self._by_length.setdefault(len(route.segments), []).append(route)
        for group in self._by_length.values():
            group.sort(key=lambda route: [s.is_field for s in route.segments])

    def find(self, http_method: str, raw_path: str) -> Match | OtherMethods | None:
        """Return the route of a request; the path is still percent-encoded.

        Encoded slashes belong to a segment, so that any name can be asked for.
        """
        parts = [unquote(part) for part in raw_path.strip("/").split("/")]
        fitting = [
            route
            for route in self._by_length.get(len(parts), ())
            if _fits(route.segments, parts)
        ]
        for route in fitting:
            if route.http_method == http_method:
                return Match(route, _fields(route.segments, parts))
        if fitting:
            return OtherMethods(tuple(sorted({r.http_method for r in fitting})))
        return None


def _fits(segments: Sequence[Segment], parts: Sequence[str]) -> bool:
    return all(
        bool(part) if segment.is_field else segment.text == part
        for segment, part in zip(segments, parts, strict=True)
    )


def _fields(segments: Sequence[Segment], parts: Sequence[str]) -> dict[str, str]:
    pairs = zip(segments, parts, strict=True)
    return {segment.text: part for segment, part in pairs if segment.is_field}
