"""Numbers of engine versions, to be compared. Engines layer."""

from __future__ import annotations

import functools
import re

from planner.errors import EngineError


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
