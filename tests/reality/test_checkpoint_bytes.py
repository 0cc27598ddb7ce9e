"""Bytes and stored elements of checkpoints from configs alone, against published figures."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from planner.model.checkpoint_weights import CheckpointWeights, checkpoint_weights
from planner.model.huggingface import architecture_from_config
from planner.model.quantization_config import declared_scheme
from planner.quantization.default_schemes import default_scheme
from tests.reality.tables import table

HERE = Path(__file__).parent
ROUNDING = 0.0005
"""Of figures published in round numbers."""

_NUMBERS = re.compile(r"\{([\d,-]+)\}")


ROWS = table("checkpoint_bytes.csv")
CONFIGS = {row["id"]: json.loads(row["config"]) for row in table("model_parameters.csv")}


def numbers(ranges: str) -> list[int]:
    ends = ([int(end) for end in part.split("-")] for part in ranges.split(","))
    return [number for end in ends for number in range(end[0], end[-1] + 1)]


def names(template: str) -> list[str]:
    """`layers.{0-1}.mlp` is `layers.0.mlp` and `layers.1.mlp`."""
    parts = _NUMBERS.split(template)
    choices = [numbers(part) if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(map(str, chosen)) for chosen in itertools.product(*choices)]


def expanded(section: Any) -> Any:
    match section:
        case dict():
            return {name: expanded(value) for key, value in section.items() for name in names(key)}
        case [*items] if all(isinstance(item, str) for item in items):
            return [name for item in items for name in names(item)]
        case _:
            return section


def weights(row: dict[str, str]) -> CheckpointWeights:
    config = CONFIGS[row["model"]]
    changes = json.loads(row["changes"] or "{}")
    network = architecture_from_config(
        config | {key: value for key, value in changes.items() if key in config}
    )
    declared = config | changes
    declared.pop("quantization_config", None)
    if row["quantization"]:
        declared["quantization_config"] = expanded(json.loads(row["quantization"]))
    beside = json.loads(row["hf_quant_config"] or "null")
    scheme = declared_scheme(declared, beside and {"quantization": expanded(beside)})
    if scheme is None:
        single = declared.get("torch_dtype") == "float32"
        scheme = default_scheme("F32" if single else "BF16", experts=False)
    return checkpoint_weights(network, scheme, mtp=row["mtp"] == "yes")


def counted(found: CheckpointWeights, what: str) -> int:
    match what:
        case "bytes" | "about":
            return found.total_bytes
        case "weights":
            return sum(part.weights for part in found.parts)
        case "payload":
            return sum(p.copies * p.tensors[0].elements for p in found.parts if p.weights)
        case "scales":
            return sum(p.copies * t.elements for p in found.parts for t in p.tensors[1:])
        case _:
            return sum(p.copies * t.elements for p in found.parts for t in p.tensors if t.shape)


def difference(row: dict[str, str]) -> int:
    """Published less counted, what is beside the text network, and the explained remainder."""
    known = counted(weights(row), row["what"]) + int(row["beside"]) + int(row["remainder"])
    return int(row["published"]) - known


EXACT = [row for row in ROWS if row["what"] != "about"]
ROUNDED = [row for row in ROWS if row["what"] == "about"]


@pytest.mark.parametrize("row", EXACT, ids=lambda row: f"{row['checkpoint']} {row['what']}")
def test_checkpoints_are_exact(row: dict[str, str]) -> None:
    assert difference(row) == 0
    assert row["why"] or not (int(row["beside"]) or int(row["remainder"]))


@pytest.mark.parametrize("row", ROUNDED, ids=lambda row: row["checkpoint"])
def test_rounded_figures_are_met(row: dict[str, str]) -> None:
    assert abs(difference(row)) <= ROUNDING * int(row["published"])


def test_scoreboard(capsys: pytest.CaptureFixture[str]) -> None:
    exact = sum(difference(row) == 0 for row in EXACT)
    worst = max(abs(difference(row)) / int(row["published"]) for row in ROUNDED)
    with capsys.disabled():
        print(
            f"\ncheckpoints: {exact} of {len(EXACT)} exact, "
            f"{len(ROUNDED)} rounded figures within {worst:.3%}"
        )
    assert exact == len(EXACT)
