"""Identity of entities: their ids, and whether two are the same (ref §2.1)."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable

from flyteidl.core import identifier_pb2
from google.protobuf import json_format
from google.protobuf.message import Message

from domain.graph import entity_ref
from domain.text_limits import part_violation
from schemas.ids import EntityRef
from schemas.messages.rejections import Reason, Rejected

TEXT_MAX = 32_000
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
LABEL_MAX = 63


def invalid(detail: str) -> Rejected:
    """Return a refusal of an invalid argument."""
    return Rejected(Reason.INVALID_ARGUMENT, detail[:TEXT_MAX])


def checked_ref(
    identifier: identifier_pb2.Identifier, kind: str
) -> EntityRef | Rejected:
    """Return the reference to an entity; a part must not be missing or invalid."""
    ref = entity_ref(identifier)
    for part in ("project", "domain", "name", "version"):
        if not getattr(ref, part):
            return invalid(f"Expected an identifier with a {part}, but it is empty")
        wrong = check_part(part, getattr(ref, part))
        if wrong is not None:
            return wrong
    if ref.kind not in {kind, "UNSPECIFIED"}:
        return invalid(f"Expected an identifier of a {kind}, but got a {ref.kind}")
    return entity_ref(identifier, kind)


def check_part(part: str, text: str) -> Rejected | None:
    """Refuse a part that is too long for a key, or contains NUL."""
    return refused(part_violation(part, text))


def check_parts(parts: Iterable[tuple[str, str]]) -> Rejected | None:
    """Refuse the first part that is too long for a key, or contains NUL."""
    found = (part_violation(part, text) for part, text in parts)
    return refused(next((wrong for wrong in found if wrong is not None), None))


def refused(wrong: str | None) -> Rejected | None:
    """Return the refusal of what is wrong with an argument, if anything is."""
    return invalid(wrong) if wrong else None


def is_label(text: str) -> bool:
    """Return whether a text is a DNS-1123 label."""
    return len(text) <= LABEL_MAX and bool(_LABEL.fullmatch(text))


def digest(message: Message) -> str:
    """Return the sha256 of a message's deterministic bytes, in hex."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()


def already_exists(ref: EntityRef) -> Rejected:
    """Return the refusal of an id that the same entity already has."""
    detail = (
        f"{_kind_text(ref)} with identical structure already exists "
        f"with id {ref.text()}"
    )
    return Rejected(Reason.ALREADY_EXISTS, detail)


def differs(ref: EntityRef, known: Message, given: Message) -> Rejected:
    """Return the refusal of an id that a different entity already has."""
    what = _kind_text(ref)
    diff = "\n".join(
        difflib.unified_diff(_lines(known), _lines(given), "registered", "given", n=1)
    )
    return invalid(
        f"Expected {what} {ref.text()} to be new or unchanged, but {what} with "
        f"different structure already exists:\n{diff}"
    )


def _kind_text(ref: EntityRef) -> str:
    return ref.kind.lower().replace("_", " ")


def _lines(message: Message) -> list[str]:
    return json_format.MessageToJson(message, sort_keys=True).splitlines()
