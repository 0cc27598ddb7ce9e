"""Whether an argument list is one that an engine's parser takes, by the table of its options."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from tests.reality.tables import table

READERS: dict[str, Callable[[str], object]] = {
    "int": int,
    "human_readable_int": int,
    "human_readable_int_or_auto": int,
    "float": float,
    "str": str,
    "_optional_type": str,
    "parse_dataclass": json.loads,
    "": str,
}
"""Type in the table to what reads such a value; a plain number is human readable too."""


def options(name: str) -> dict[str, dict[str, str]]:
    """Every spelling of an option of an engine, to its row."""
    return {flag: row for row in table(f"{name}_flags.csv") for flag in row["flags"].split()}


def complaints(name: str, arguments: Sequence[str]) -> Iterator[str]:
    """What the engine would not take, or warns of."""
    known, waiting = options(name), list(arguments)
    seen: set[str] = set()
    while waiting:
        flag = waiting.pop(0)
        row = known.get(flag)
        if row is None:
            yield f"no option {flag}"
            continue
        if row["flags"] in seen:
            yield f"{flag} twice"
        seen.add(row["flags"])
        if row["deprecated"]:
            yield f"{flag} is deprecated"
        if row["values"] == "0":
            continue
        if not waiting:
            yield f"{flag} without a value"
            continue
        value = waiting.pop(0)
        if row["choices"] and value not in row["choices"].split():
            yield f"{flag} does not take {value}"
        try:
            READERS[row["type"]](value)
        except ValueError:
            yield f"{flag}: {value} is no {row['type']}"
