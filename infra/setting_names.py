"""Names of settings: in the environment and in the file, and the nearest to a typo."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from pydantic import BaseModel

PREFIX = "FLIGHTLOG_"
CONFIG_VARIABLE = "FLIGHTLOG_CONFIG"
TASK_VARIABLES = frozenset({"FLIGHTLOG_RETRY_BACKOFF", "FLIGHTLOG_OOM_MEMORY_FACTOR"})
"""What tasks set for themselves (`domain.annotations`): an engine ignores it."""

Path = tuple[str, ...]
"""A setting: its name, below those of its sections."""

_CUTOFF = 0.55
_SERVICE_LINK = re.compile(
    r"FLIGHTLOG(_[A-Z0-9_]+)?_"
    r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?"
    r"|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)


def variable(name: str, prefix: str = PREFIX) -> str:
    """Return the environment variable of a setting, which is named as in the file."""
    return prefix + name.replace(".", "__").upper()


def paths(model: type[BaseModel]) -> Iterator[Path]:
    """Yield every section and every setting."""
    for name, field in model.model_fields.items():
        yield (name,)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from ((name, *path) for path in paths(inner))


def is_service_link(name: str, value: str) -> bool:
    """Return whether Kubernetes injected a variable, for a service called flightlog….

    Of `FLIGHTLOG_HTTP_PORT`, which may be that of a service `flightlog-http`, the value
    tells: `tcp://10.0.0.1:80`.
    """
    name = name.upper()
    if name.endswith("_PORT") and _SERVICE_URL.match(value):
        return True
    return _SERVICE_LINK.fullmatch(name) is not None


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what is meant for the engine, by names in capitals."""
    ignored = {*TASK_VARIABLES, CONFIG_VARIABLE}
    return {
        name.upper(): value
        for name, value in environment.items()
        if name.upper().startswith(PREFIX)
        and name.upper() not in ignored
        and not is_service_link(name, value)
    }


def settings_of(
    model: type[BaseModel], environment: Mapping[str, str]
) -> dict[str, object]:
    """Return the settings in the environment, by sections; unknown ones are left out.

    A section, and a setting of several values, are JSON.
    """
    found = variables(environment)
    given: dict[str, object] = {}
    for path in paths(model):
        text = found.get(variable(".".join(path)))
        if text is None:
            continue
        value = _decoded(text) if _is_complex(model, path) else text
        _put(given, path, value)
    return given


def _put(given: dict[str, object], path: Path, value: object) -> None:
    """Put a setting into its section, unless that was given as something else."""
    section: object = given
    for name in path[:-1]:
        section = section.setdefault(name, {}) if isinstance(section, dict) else None
    if isinstance(section, dict):
        section[path[-1]] = value


def _is_complex(model: type[BaseModel], path: Path) -> bool:
    annotation: object = model
    for name in path:
        fields = getattr(annotation, "model_fields", {})
        annotation = fields[name].annotation
    text = str(annotation)
    return hasattr(annotation, "model_fields") or "tuple" in text or "dict" in text


def _decoded(text: str) -> object:
    """Return what JSON says; the text itself, which is refused, if it says nothing."""
    try:
        decoded: object = json.loads(text)
    except ValueError:
        return text
    return decoded


def unknown(model: type[BaseModel], environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with each variable that is no setting."""
    known = {variable(".".join(path)): path for path in paths(model)}
    for name in sorted(variables(environment).keys() - known):
        near = nearest(
            name.removeprefix(PREFIX), (k.removeprefix(PREFIX) for k in known)
        )
        hint = f"; did you mean {PREFIX}{near}?" if near else ""
        yield f"{name} isn't a setting{hint}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is nearest to a misspelt one; None if none is near.

    Names without their section are compared, too.
    """
    by_text: dict[str, str] = {}
    for one in known:
        plain = _plain(one)
        by_text.setdefault(plain.rpartition(".")[2], one)
        by_text[plain.replace(".", "_")] = one
    wanted = _plain(name)
    for text in (wanted.replace(".", "_"), wanted.rpartition(".")[2]):
        if found := get_close_matches(text, by_text, n=1, cutoff=_CUTOFF):
            return by_text[found[0]]
    return None


def _plain(name: str) -> str:
    return name.lower().replace("__", ".").replace("-", "_")
