"""Whether a Postgres can be used, found out before anything is started on it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.errors import Dependency, PermanentError, TransientError
from infra.postgres.failures import Failure, failure_of

_CONNECT_S = 10
_SCHEMES = ("postgresql://", "postgres://")
_ENCODING = "UTF8"
_TEXT_MAX = 300
_MAY_CREATE = "SELECT has_schema_privilege(current_schema(), 'CREATE')"
_QUESTION = " Is the server running"
# libpq doesn't pass on the SQLSTATE of a refused connection, only the server's words.
_REFUSED = "FATAL:"
_FOR_A_WHILE = (
    "starting up",
    "shutting down",
    "not yet accepting",
    "recovery",
    "too many",
    "connection slots",
)


async def check_usable(url: str, *, creates: bool = True) -> None:
    """Raise TransientError if the server can't be reached now.

    Raises PermanentError if it refuses this user or database, if the user may not
    create tables (with `creates`), or if not every text can be stored. No message has
    the URL's password.
    """
    if not url.startswith(_SCHEMES):
        raise PermanentError(
            "Expected FLIGHTLOG_POSTGRES to be a URL postgresql://user@host/database, "
            "but it isn't"
        )
    try:
        given = conninfo_to_dict(url)
        limits = {} if "connect_timeout" in given else {"connect_timeout": _CONNECT_S}
        conn = await AsyncConnection.connect(make_conninfo(url, **limits))
    except psycopg.Error as error:
        raise _explained(error, url) from error
    async with conn:
        encoding = conn.info.parameter_status("server_encoding")
        row = await (await conn.execute(_MAY_CREATE)).fetchone()
    if creates and (row is None or not row[0]):
        raise PermanentError(
            "Expected the user of FLIGHTLOG_POSTGRES to be allowed to create tables, "
            "but the permission is denied; grant it CREATE on the schema"
        )
    if encoding != _ENCODING:
        raise PermanentError(
            f"Expected a database in {_ENCODING} (FLIGHTLOG_POSTGRES), but it is in "
            f"{encoding}; create it with ENCODING '{_ENCODING}' TEMPLATE template0"
        )


def _explained(error: psycopg.Error, url: str) -> PermanentError | TransientError:
    text = one_line(error, url)
    if failure_of(error) is not Failure.OUTAGE:
        return PermanentError(f"Expected FLIGHTLOG_POSTGRES to be a URL, but: {text}")
    refused = _REFUSED in text or "no password supplied" in text
    if refused and not any(words in text for words in _FOR_A_WHILE):
        return PermanentError(
            f"Expected Postgres to let this engine in (FLIGHTLOG_POSTGRES), but: {text}"
        )
    message = f"Cannot reach Postgres (FLIGHTLOG_POSTGRES): {text}"
    return TransientError(message, of=Dependency.POSTGRES)


def one_line(error: psycopg.Error, url: str = "") -> str:
    """Return an error's text in one line, without the URL or its password."""
    text = " ".join(str(error).split())
    text = text.removeprefix("connection failed: ").partition(_QUESTION)[0]
    if url:
        text = text.replace(url, "…")
        for secret in _passwords(url):
            text = text.replace(secret, "…")
    return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}…"


def _passwords(url: str) -> set[str]:
    try:
        found = urlsplit(url).password or ""
    except ValueError:
        return set()
    return {secret for secret in (found, unquote(found)) if secret}
