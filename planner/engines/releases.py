"""Numbers of engine versions, to be compared, and the rows that hold for them. Engines layer."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Protocol, TypeVar

from planner.errors import EngineError


class Row(Protocol):
    """Constants of a version and of all later ones up to the next row."""

    @property
    def since(self) -> str:
        """The first version it holds for."""


R = TypeVar("R", bound=Row)


@functools.lru_cache(maxsize=256)
def release(version: str) -> tuple[int, ...]:
    """The three numbers of a version, e.g. `0.32.0`.

    Raises:
        EngineError: no version.
    """
    found = re.match(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", version)
    if found is None:
        raise EngineError(f"'{version}' is no version of an engine", hint="write e.g. '0.32.0'")
    return tuple(int(part or 0) for part in found.groups())


def row_of(rows: Sequence[R], version: str, engine: str) -> R:
    """The one of `rows`, oldest first, that holds for a version of `engine`.

    Raises:
        EngineError: older than the first row, or no version.
    """
    number = release(version)
    known = [row for row in rows if release(row.since) <= number]
    if not known:
        raise EngineError(
            f"no rules for {engine} {version}", hint=f"versions from {rows[0].since} on are known"
        )
    return known[-1]
