"""Sizes and types of files as loaders logged them, from the architecture and the mix alone."""

from __future__ import annotations

from collections import Counter

import pytest

from planner.model.weights import gguf_weights
from planner.units import GIB
from tests.reality.gguf_shapes import networks
from tests.reality.tables import table

CLOSE = 0.0005
"""Kimi's file also has the latent projection in one matrix, which adds nearly as much."""


def rows() -> list[dict[str, str]]:
    return table("gguf_loaded.csv")


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['model']}-{row['mix']}")
def test_size_and_types_are_those_of_the_log(row: dict[str, str]) -> None:
    weights = gguf_weights(networks()[row["model"]], row["mix"], row["imatrix"] == "1")
    assert weights.total_bytes / GIB == pytest.approx(float(row["gib"]), rel=CLOSE)
    if row["types"]:
        logged = dict(pair.split(":") for pair in row["types"].split())
        counted = Counter(tensor.type for tensor in weights.tensors)
        assert counted == {kind: int(count) for kind, count in logged.items()}
