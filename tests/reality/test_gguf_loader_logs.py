"""GGUF files of other people, as loaders logged them: bytes, bits per weight, types of tensors."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from planner.catalog.load import load_catalog
from planner.model.architecture import Architecture, Latent
from planner.model.huggingface import architecture_from_config
from planner.model.tensors import Shape, gguf_tensors
from planner.model.weights import gguf_weights, mix_facts
from planner.quantization.gguf_mixes import choose_types
from planner.quantization.gguf_types import tensor_bytes
from tests.reality.tables import table

TOLERANCE = 0.0005
GIB = 2**30
ROPE = ("rope_freqs.weight", (64,))
"""The table of rotary factors that files of Llama 3.1 have."""


def rows() -> list[dict[str, str]]:
    return table("gguf_loader_logs.csv")


def standard() -> list[dict[str, str]]:
    return [row for row in rows() if not row["why"]]


def named(row: dict[str, str]) -> str:
    return f"{row['name']} {row['mix']} {row['size']}"


def network(row: dict[str, str]) -> Architecture:
    config = dict(load_catalog().model(row["model"]).config)
    if row["config"]:
        key, _, value = row["config"].partition("=")
        config[key] = int(value)
    return architecture_from_config(config)


def listed(row: dict[str, str], architecture: Architecture) -> list[tuple[str, Shape]]:
    """The tensors of a file of its time."""
    found: list[tuple[str, Shape]] = []
    for tensor in gguf_tensors(architecture):
        latent = architecture.layers[0].attention
        if row["kv_b"] and "attn_k_b." in tensor.name:
            assert isinstance(latent, Latent)
            shape = (latent.kv_rank, latent.heads * (latent.nope_dim + latent.value_dim))
            found.append((tensor.name.replace("attn_k_b.", "attn_kv_b."), shape))
        if row["kv_b"] != "undivided" or not {"attn_k_b", "attn_v_b"} & set(tensor.name.split(".")):
            found.append((tensor.name, tensor.shape))
    return [*found, ROPE] if len(found) + 1 == int(row["tensors"]) else found


def types(
    row: dict[str, str], architecture: Architecture, tensors: list[tuple[str, Shape]]
) -> list[str]:
    """The type of each tensor."""
    chosen = list(choose_types(row["mix"], tensors, mix_facts(architecture), row["imatrix"] == "1"))
    older = row["older"].split()
    if "iq4_nl" in older:
        chosen = ["IQ4_NL" if kind == "Q4_0" else kind for kind in chosen]
    if "kv_b" in older:
        usual = row["mix"].removesuffix("_M")
        pairs = zip(tensors, chosen, strict=True)
        chosen = [usual if "attn_kv_b" in name else kind for (name, _), kind in pairs]
    return chosen


def last_digit(text: str) -> float:
    """Half of what the last digit of a rounded figure stands for."""
    return 10.0 ** -len(text.partition(".")[2]) / 2


@pytest.mark.parametrize("row", standard(), ids=named)
def test_logged_files_of_a_standard_mix(row: dict[str, str]) -> None:
    architecture = network(row)
    tensors = listed(row, architecture)
    chosen = types(row, architecture, tensors)
    logged = {kind.upper(): int(n) for kind, n in (p.split(":") for p in row["types"].split())}
    assert Counter(chosen) == logged
    assert len(tensors) == int(row["tensors"])
    size = sum(tensor_bytes(t, shape) for t, (_, shape) in zip(chosen, tensors, strict=True))
    logged_size, unit = row["size"].split()
    assert unit == "GiB"
    assert size / GIB == pytest.approx(
        float(logged_size), rel=TOLERANCE, abs=last_digit(logged_size)
    )
    bits = 8 * size / sum(math.prod(shape) for _, shape in tensors)
    assert bits == pytest.approx(float(row["bpw"]), rel=TOLERANCE, abs=last_digit(row["bpw"]))


@pytest.mark.parametrize(
    "row",
    [row for row in standard() if not row["kv_b"] and not row["older"]],
    ids=named,
)
def test_files_as_written_today_are_those_of_the_planner(row: dict[str, str]) -> None:
    logged_size = row["size"].split()[0]
    ours = gguf_weights(network(row), row["mix"], row["imatrix"] == "1").total_bytes
    assert ours / GIB == pytest.approx(
        float(logged_size), rel=TOLERANCE, abs=last_digit(logged_size)
    )


def test_scoreboard(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints how many rows there are; fails when some are lost."""
    compared, left_out = len(standard()), Counter(row["why"] for row in rows() if row["why"])
    reasons = "; ".join(f"{count} {why}" for why, count in left_out.most_common())
    with capsys.disabled():
        print(f"\nGGUF logs: {compared} files within 0.05 %; not compared: {reasons}")
    assert (compared, left_out.total()) == (31, 46)
