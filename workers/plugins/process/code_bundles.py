"""Code bundles of fast registration: told from commands, unpacked (ref §6.4)."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

FAST = "pyflyte-fast-execute"
WARM = frozenset({"pyflyte-execute", "pyflyte-map-execute"})
NO_BUNDLE = ""
PICKLED = "pkl.gz"


class BundleDamagedError(Exception):
    """The code bundle can't be unpacked."""


class FlytekitCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command of flytekit's: run inside the process, its code bundle in place."""

    bundle: str
    words: tuple[str, ...]
    module: str


def flytekit_command(words: Sequence[str]) -> FlytekitCommand | None:
    """Return what a command asks of flytekit; None if it is none of flytekit's."""
    bundle = NO_BUNDLE
    if words and words[0] == FAST and "--" in words:
        bundle, words = _unwrap(words)
    if not words or words[0] not in WARM:
        return None
    return FlytekitCommand(bundle=bundle, words=tuple(words), module=_module(words))


def _unwrap(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Split off the bundle, telling the inner command of it as flytekit does."""
    at = words.index("--")
    given = dict(_options(words[1:at]))
    bundle = given.get("--additional-distribution", NO_BUNDLE)
    inner = list(words[at + 1 :])
    if not bundle or "--resolver" not in inner:
        return bundle, inner
    at = inner.index("--resolver")
    extra = ["--dynamic-addl-distro", bundle]
    extra += ["--dynamic-dest-dir", given.get("--dest-dir", ".")]
    return bundle, [*inner[:at], *extra, *inner[at:]]


def _options(words: Sequence[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        found.append((name, value if equals else next(rest, "")))
    return found


def _module(words: Sequence[str]) -> str:
    """Return the module that flytekit's default resolver will import."""
    if "task-module" not in words:
        return ""
    at = words.index("task-module") + 1
    return words[at] if at < len(words) else ""


def unpack(bundle: Path, folder: Path, name: str) -> None:
    """Unpack a bundle into a folder that isn't there yet; raises BundleDamaged.

    `name` is what it was uploaded as. Of a notebook it is no archive, but a file with
    pickled tasks, which flytekit looks for where the task runs.
    """
    folder.mkdir(parents=True)
    if name == PICKLED:
        shutil.copyfile(bundle, folder / name)
        return
    try:
        with tarfile.open(bundle) as archive:
            _extract(archive, folder)
    except (tarfile.TarError, OSError, EOFError) as error:
        message = f"Expected a code bundle at {bundle}, but: {error}"
        raise BundleDamagedError(message) from error


def mirror(folder: Path, own: Path) -> None:
    """Make a folder that shows what lies in another, and keeps what is new to itself.

    A task begins among the files of its code, as in a container; what it writes there
    must not meet what others of the same code write.
    """
    own.mkdir(exist_ok=True)
    for entry in folder.iterdir():
        (own / entry.name).symlink_to(entry)


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Extract plain files and folders below the folder, and nothing else.

    Python before 3.11.4 can't be asked to see to it.
    """
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
        return
    root = folder.resolve()
    for member in archive.getmembers():
        inside = (root / member.name).resolve().is_relative_to(root)
        if not inside or not (member.isreg() or member.isdir()):
            message = f"Expected plain files, but it holds {member.name}"
            raise tarfile.TarError(message)
    archive.extractall(root)  # noqa: S202 - each member was looked at
