"""Which release this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

UNRELEASED = "0.0.0"


def version() -> str:
    """Return the installed version; 0.0.0 when run from a bare source tree."""
    try:
        return installed("flightlog")
    except PackageNotFoundError:
        return UNRELEASED
