"""Code bundles of fast registration: parsed from commands, unpacked (ref §6.4)."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

FAST = "pyflyte-fast-execute"
WARM = frozenset({"pyflyte-execute", "pyflyte-map-execute"})
PICKLED = "pkl.gz"


class BundleDamagedError(Exception):
    """The code bundle can't be unpacked."""


class FlytekitCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command of flytekit: called inside a process that has its code bundle.

    `module` is what flytekit's default resolver will import, if the command names it.
    """

    bundle: str | None
    args: tuple[str, ...]
    module: str | None


def flytekit_command(args: Sequence[str]) -> FlytekitCommand | None:
    """Return the parts of a flytekit command; None if it is another command."""
    bundle = None
    if args and args[0] == FAST and "--" in args:
        bundle, args = _unwrap(args)
    if not args or args[0] not in WARM:
        return None
    return FlytekitCommand(bundle=bundle, args=tuple(args), module=_module(args))


def _unwrap(args: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Split off the bundle, and pass it to the inner command as flytekit does."""
    at = args.index("--")
    given = dict(_options(args[1:at]))
    bundle = given.get("--additional-distribution") or None
    inner = list(args[at + 1 :])
    if bundle is None or "--resolver" not in inner:
        return bundle, inner
    at = inner.index("--resolver")
    extra = ["--dynamic-addl-distro", bundle]
    extra += ["--dynamic-dest-dir", given.get("--dest-dir", ".")]
    return bundle, [*inner[:at], *extra, *inner[at:]]


def _options(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    rest = iter(args)
    for arg in rest:
        name, equals, value = arg.partition("=")
        yield name, value if equals else next(rest, "")


def _module(args: Sequence[str]) -> str | None:
    if "task-module" not in args:
        return None
    at = args.index("task-module") + 1
    return args[at] if at < len(args) else None


def unpack(bundle: Path, folder: Path, name: str) -> None:
    """Unpack a bundle into a folder that doesn't exist yet; raises BundleDamagedError.

    Errors of the disk are raised as they are: another attempt may succeed. `name` is
    the name that it was uploaded with. A notebook's bundle is no archive, but a file of
    pickled tasks, which flytekit looks for in the working directory.
    """
    folder.mkdir(parents=True)
    if name == PICKLED:
        shutil.copyfile(bundle, folder / name)
        return
    try:
        with tarfile.open(bundle) as archive:
            _extract(archive, folder)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        message = f"Expected a code bundle at {bundle}, but: {error}"
        raise BundleDamagedError(message) from error


def link_entries(source: Path, folder: Path) -> None:
    """Create a folder of symbolic links to the entries of another one.

    As in a container, a task starts in a folder with the files of its code; what it
    writes there must be invisible to other tasks of the same code.
    """
    folder.mkdir(exist_ok=True)
    for entry in source.iterdir():
        (folder / entry.name).symlink_to(entry)


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Extract regular files and folders below the folder, and nothing else.

    Python before 3.11.4 can't check this by itself.
    """
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
        return
    root = folder.resolve()
    for member in archive.getmembers():
        is_below = (root / member.name).resolve().is_relative_to(root)
        if not is_below or not (member.isreg() or member.isdir()):
            message = f"Expected regular files only, but it contains {member.name}"
            raise tarfile.TarError(message)
    archive.extractall(root)  # noqa: S202 - each member was checked
