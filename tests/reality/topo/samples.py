"""The dumps of real machines in `samples/`, and what is expected of each."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from planner.catalog import load_catalog
from planner.inventory import Machine
from planner.services.inventory import Told, machine
from planner.topology.importers.detect import decoded, read

FOLDER = Path(__file__).parent
SAMPLES = FOLDER / "samples"


def rows(name: str) -> list[dict[str, str]]:
    """A table beside the samples."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def content(name: str) -> str:
    """The text of a sample."""
    return decoded((SAMPLES / name).read_bytes(), name)


def imported(text: str, where: str) -> Machine:
    """The machine that a text describes."""
    return machine("machine", read(text, where), load_catalog(), Told(), where)


EXPECTED = rows("expected.csv")
NAMES = [row["file"] for row in EXPECTED]
