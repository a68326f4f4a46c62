"""Identity: what names an entity, and whether two of them are the same (ref §2.1)."""

from __future__ import annotations

import difflib
import hashlib
import re
from typing import Any

from google.protobuf import json_format

from domain.graph import entity_ref
from schemas.ids import EntityRef
from schemas.messages.rejections import Reason, Rejected

TEXT_MAX = 32_000
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
LABEL_MAX = 63
PART_BYTES_MAX = 511
"""Four parts make a key; Postgres takes no key above 2,704 bytes."""


def invalid(detail: str) -> Rejected:
    """Return a refusal for a bad argument."""
    return Rejected(Reason.INVALID_ARGUMENT, detail[:TEXT_MAX])


def checked_ref(identifier: Any, kind: str) -> EntityRef | Rejected:
    """Return the reference of a core.Identifier with all its parts."""
    ref = entity_ref(identifier)
    for part in ("project", "domain", "name", "version"):
        if not getattr(ref, part):
            return invalid(f"Expected an identifier with a {part}, but it is empty")
        refused = check_part(part, getattr(ref, part))
        if refused is not None:
            return refused
    if ref.kind not in {kind, "UNSPECIFIED"}:
        return invalid(f"Expected an identifier of a {kind}, but got a {ref.kind}")
    return EntityRef(
        kind=kind,
        project=ref.project,
        domain=ref.domain,
        name=ref.name,
        version=ref.version,
    )


def check_part(part: str, text: str) -> Rejected | None:
    """Refuse what no key may hold: too much, or a NUL."""
    size = len(text.encode())
    if size > PART_BYTES_MAX:
        return invalid(
            f"Expected a {part} of at most {PART_BYTES_MAX} bytes, but it has {size}"
        )
    if "\0" in text:
        return invalid(f"Expected a {part} without NUL characters, but it has one")
    return None


def is_label(text: str) -> bool:
    """Tell whether a text is a DNS-1123 label."""
    return len(text) <= LABEL_MAX and bool(_LABEL.fullmatch(text))


def digest(message: Any) -> str:
    """Return the sha256 of a message's canonical bytes."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()


def existing(ref: EntityRef, *, same: bool, known: Any, given: Any) -> Rejected:
    """Return the refusal for an id that is taken, by the same or by other content."""
    what = ref.kind.lower().replace("_", " ")
    if same:
        detail = f"{what} with identical structure already exists with id {ref.text()}"
        return Rejected(Reason.ALREADY_EXISTS, detail)
    diff = "\n".join(
        difflib.unified_diff(_lines(known), _lines(given), "registered", "given", n=1)
    )
    return invalid(
        f"Expected {what} {ref.text()} to be new or unchanged, but {what} with "
        f"different structure already exists:\n{diff}"
    )


def _lines(message: Any) -> list[str]:
    text: str = json_format.MessageToJson(message, sort_keys=True)
    return text.splitlines()
