"""`/proc/meminfo`: the memory of the host. Of use where devices share it."""

from __future__ import annotations

import re

from planner.errors import FileError
from planner.topology.importers.seen import Dump
from planner.topology.importers.words import memory

FORMAT = "/proc/meminfo"
_LINE = re.compile(r"(MemTotal|MemAvailable):\s+(\d{1,14} kB)\s*")


def holds(text: str) -> bool:
    """Whether `text` is such a file."""
    return any(line.startswith("MemTotal:") for line in text.split("\n"))


def read(text: str, where: str) -> Dump:
    """Bytes in all and bytes a program may still take.

    Raises:
        FileError: no total in it.
    """
    found = {m[1]: memory(m[2]) for m in map(_LINE.fullmatch, text.split("\n")) if m}
    total, free = found.get("MemTotal"), found.get("MemAvailable")
    if total is None or (free is not None and free > total):
        raise FileError(f"{where}: no sensible MemTotal in it", hint="copy /proc/meminfo whole")
    return Dump(format=FORMAT, host_memory=total, host_free=free)
