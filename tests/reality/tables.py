"""The tables of figures in this folder."""

from __future__ import annotations

import csv
from pathlib import Path

HERE = Path(__file__).parent


def table(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of this folder; lines that start with `#` are remarks."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))
