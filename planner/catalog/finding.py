"""One thing the catalog check has to say. Values only."""

from __future__ import annotations

from typing import Literal

from planner.values import Value

Level = Literal["error", "unverified", "missing", "stale"]


class Finding(Value):
    """A breach (`error`) or a fact worth knowing (any other level), with where it is."""

    level: Level
    table: str
    """Table of the row, as in TOML."""
    name: str
    field: str
    """Field it is about; empty for the whole row."""
    message: str


def error(table: str, name: str, field: str, message: str) -> Finding:
    """A breach of a rule."""
    return Finding(level="error", table=table, name=name, field=field, message=message)
