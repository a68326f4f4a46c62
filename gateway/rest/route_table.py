"""REST routes, from flyteidl's `google.api.http` annotations, and matching; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

import msgspec
from flyteidl.service import (
    admin_pb2,
    auth_pb2,
    dataproxy_pb2,
    identity_pb2,
    signal_pb2,
)
from google.api import annotations_pb2, http_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message

FILES = (admin_pb2, dataproxy_pb2, signal_pb2, identity_pb2, auth_pb2)
_METHODS = ("get", "put", "post", "delete", "patch")


class Segment(msgspec.Struct, frozen=True):
    """One part of a path: fixed text, or the name of the field that it sets."""

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
    request: type[Message]
    input_type: Descriptor
    output_type: Descriptor


class Match(msgspec.Struct, frozen=True):
    """A route, and the fields that the path sets."""

    route: Route
    fields: dict[str, str]


class OtherMethods(msgspec.Struct, frozen=True):
    """The path exists, but only with these HTTP methods."""

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


def _of_method(method: MethodDescriptor) -> Iterator[Route]:
    extensions = method.GetOptions().Extensions
    rule: http_pb2.HttpRule = extensions[annotations_pb2.http]  # type: ignore[index]  # its stub says it is a plain field
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
            input_type=method.input_type,
            output_type=method.output_type,
        )


def _segments(path: str) -> Iterator[Segment]:
    for part in path.strip("/").split("/"):
        if part.startswith("{"):
            yield Segment(part.strip("{}").partition("=")[0], is_field=True)
        else:
            yield Segment(part)


class RouteTable:
    """All routes, found by the number of their segments."""

    def __init__(self, all_routes: Iterable[Route]) -> None:
        """Index the routes; where two match, fixed text has precedence over fields."""
        self._by_length: dict[int, list[Route]] = {}
        for route in all_routes:
            self._by_length.setdefault(len(route.segments), []).append(route)
        for group in self._by_length.values():
            group.sort(key=lambda route: [s.is_field for s in route.segments])

    def find(self, http_method: str, raw_path: str) -> Match | OtherMethods | None:
        """Return the route of a request; the path is still percent-encoded.

        Encoded slashes belong to a segment, so that names may contain any character.
        """
        parts = [unquote(part) for part in raw_path.strip("/").split("/")]
        matching = [
            route
            for route in self._by_length.get(len(parts), ())
            if _matches(route.segments, parts)
        ]
        for route in matching:
            if route.http_method == http_method:
                return Match(route, _fields(route.segments, parts))
        if matching:
            return OtherMethods(tuple(sorted({r.http_method for r in matching})))
        return None


def _matches(segments: Sequence[Segment], parts: Sequence[str]) -> bool:
    return all(
        bool(part) if segment.is_field else segment.text == part
        for segment, part in zip(segments, parts, strict=True)
    )


def _fields(segments: Sequence[Segment], parts: Sequence[str]) -> dict[str, str]:
    pairs = zip(segments, parts, strict=True)
    return {segment.text: part for segment, part in pairs if segment.is_field}
