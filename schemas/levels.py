"""Format levels: what every process must be able to read before anything writes it.

Level 0 are all messages and versions that were there before levels. Each new message,
or version of one, belongs to a later level (`schemas/wire/registry.py`), and is written
once the version gate has opened that level.
"""

from __future__ import annotations

FORMAT_LEVEL = 1
"""The newest level that this build reads and, once it is open, writes."""
