"""Our table of one model against the one that the real llama-server prints, in MiB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planner.engines.llama_cpp.memory import SplitMemory
from planner.units import MIB
from tests.reality.llama_tables import predicted

Row = tuple[int, ...]
"""Model, context and compute."""


def tables(
    servers: Any, path: Path, memory: SplitMemory, split: tuple[int, ...], arguments: str
) -> tuple[list[Row], list[Row]]:
    """Ours and theirs of the file at `path`: every device, and last the host."""
    words = ["-ts", ",".join(map(str, split)), *arguments.split()]
    printed = servers.table(path, words, len(split))
    theirs = [(row.model_mib, row.context_mib, row.compute_mib) for row in printed]
    devices, host = predicted(memory, split, pipelined=False)
    return [tuple(part // MIB for part in each) for each in (*devices, host)], theirs
