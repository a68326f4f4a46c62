"""What every section of the settings is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the file: its fields are settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")
