"""Words: one term for one thing, the one that engineers of the field search for."""

from __future__ import annotations

import re
from pathlib import Path

from tests.architecture.repository import ROOT, kept_files

# Word, as a regular expression → what to write instead. They have no other use here.
BANNED = {
    r"facts?": "event",
    r"wish(es)?": "command, annotation or limit",
    r"misfits?": "violation",
    r"patiently": "with retries (retry_transient)",
    r"doors?": "gateway or server",
    r"floors?": "layer",
    r"nursery": "fork server",
    r"house": "harness, or repository",
    r"anew": "again",
    r"bygone": "superseded",
    r"culprits?": "failed node",
    r"hydrat\w+": "load",
    r"dealt": "assigned",
    r"whoever": "who it is: the caller, the next owner, …",
    r"let(s|ting)? go of": "release",
    r"tell whether": "return whether",
    r"the views": "the read models",
    r"of ours": "Flightlog's",
    r"(the|its|these) letters?(?!,)": "dead letter",
    r"put aside": "quarantine, offload or store",
    r"looks? anew": "retry, or poll",
    r"bears?": "has, or carries",
    r"amid": "during",
}
_WORDS = {
    re.compile(rf"\b{word}\b", re.IGNORECASE): instead
    for word, instead in BANNED.items()
}
# Released files, what quotes others, and this list.
_LEFT_OUT = ("schemas/avro", "projections/migrations", "tests/golden", "requirements")
_READ = frozenset({".py", ".md", ".sql", ".sh", ".yaml", ".toml"})


def _texts() -> list[Path]:
    return [
        path
        for path in kept_files()
        if path.suffix in _READ
        and not str(path).startswith(_LEFT_OUT)
        and path != Path(__file__).relative_to(ROOT)
    ]


def test_no_private_word_is_left() -> None:
    """Names, texts and pages use the field's terms; an identifier's parts count."""
    found = []
    for path in _texts():
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            parts = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", line)
            for word, instead in _WORDS.items():
                for text in {line, parts}:
                    if match := word.search(text):
                        found.append(f"{path}:{number}: {match[0]} → {instead}")
                        break
    assert found == []
