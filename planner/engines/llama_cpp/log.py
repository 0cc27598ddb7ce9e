"""Reads the memory table llama-server prints with `-fit on -lv 4`, and again when it stops."""

from __future__ import annotations

import re
from dataclasses import dataclass

from planner.errors import FileError

_HEADER = re.compile(r"\|\s*memory breakdown \[MiB\]\s*\|")
_DEVICE = re.compile(
    r"\|\s+- (?P<name>\S+)(?: \((?P<title>.*)\))?\s*\|"
    r"\s*(?P<total>\d+) =\s*(?P<free>\d+) \+ \(\s*\d+ ="
    r"\s*(?P<model>\d+) \+\s*(?P<context>\d+) \+\s*(?P<compute>\d+)\)"
    r" \+\s*(?P<unaccounted>-?\d+) \|"
)
_HOST = re.compile(
    r"\|\s+- (?P<name>\S+)\s*\|\s*\d+ ="
    r"\s*(?P<model>\d+) \+\s*(?P<context>\d+) \+\s*(?P<compute>\d+)\s*\|"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedMemory:
    """One row of the table: whole MiB, rounded down as printed."""

    name: str
    """Device as the engine numbers it (`CUDA0`, `RPC1`), or `Host`."""
    title: str = ""
    """What the engine says of it: the card, or the endpoint."""
    total_mib: int | None = None
    free_mib: int | None = None
    model_mib: int
    context_mib: int
    compute_mib: int
    unaccounted_mib: int | None = None
    """In use on the device but not by the engine's own buffers."""


def memory_table(text: str) -> tuple[LoggedMemory, ...]:
    """The rows of the last memory table in a log, devices in the engine's order, then the host.

    Raises:
        FileError: there is no table, or its rows cannot be read.
    """
    lines = text.splitlines()
    headers = [number for number, line in enumerate(lines) if _HEADER.search(line)]
    if not headers:
        raise FileError(
            "no memory table in the log",
            hint="start llama-server with '-fit on -lv 4' and keep what it prints",
        )
    rows = []
    for line in lines[headers[-1] + 1 :]:
        row = memory_row(line)
        if row is None:
            break
        rows.append(row)
    if not rows:
        raise FileError(
            "the memory table in the log has no row that can be read",
            hint="the builds read so far are b10434 and b11434",
        )
    return tuple(rows)


def memory_row(line: str) -> LoggedMemory | None:
    """The row of the memory table on this line of a log, or None."""
    if match := _DEVICE.search(line):
        return LoggedMemory(
            name=match["name"],
            title=match["title"] or "",
            total_mib=int(match["total"]),
            free_mib=int(match["free"]),
            model_mib=int(match["model"]),
            context_mib=int(match["context"]),
            compute_mib=int(match["compute"]),
            unaccounted_mib=int(match["unaccounted"]),
        )
    if match := _HOST.search(line):
        return LoggedMemory(
            name=match["name"],
            model_mib=int(match["model"]),
            context_mib=int(match["context"]),
            compute_mib=int(match["compute"]),
        )
    return None
