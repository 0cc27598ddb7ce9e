"""Every single change of plain data that a test of the checker tries."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every number, word, truth and nothing in plain data, with the way to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path, value


def lies(value: Any) -> list[Any]:
    """Other values a leaf could have."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value * 1.001 + 1e-6, value * 0.999 - 1e-6]
    if isinstance(value, str):
        return [value + "x", "", value[1:]] if value else ["x"]
    return [0, 1, "x"]


def changed(data: Any, path: Path, value: Any) -> Any:
    """A copy of the data with one leaf changed."""
    data = copy.deepcopy(data)
    *way, last = path
    target = data
    for step in way:
        target = target[step]
    target[last] = value
    return data


def plain(value: Any) -> Any:
    """A value of the planner as plain data."""
    return json.loads(value.model_dump_json(by_alias=True))
