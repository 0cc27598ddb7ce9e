"""One network or more of every GGUF architecture of attention and feed-forward blocks."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from planner.model.architecture import Architecture
from planner.model.gguf_roles import GGUF_NAMES
from planner.model.huggingface import architecture_from_config
from tests.reality.tables import table

FOLDER = Path(__file__).parent
FILES = {"gguf_shapes.csv": "name", "model_parameters.csv": "id"}
"""Table to its column of names."""


@functools.cache
def networks() -> dict[str, Architecture]:
    """Name to network, of all rows whose GGUF architecture is in `GGUF_NAMES`."""
    found = {}
    for file, column in FILES.items():
        for row in table(file):
            network = architecture_from_config(json.loads(row["config"]))
            if network.gguf_name in GGUF_NAMES:
                found[row[column]] = network
    return found


@functools.cache
def one_per_architecture() -> dict[str, Architecture]:
    """GGUF architecture to its first network; all that `gguf_shapes.csv` has, by their names."""
    found: dict[str, Architecture] = {}
    for name, network in networks().items():
        if "/" not in name:
            found[name] = network
        else:
            found.setdefault(network.gguf_name, network)
    return found
