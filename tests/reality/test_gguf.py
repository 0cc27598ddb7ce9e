"""GGUF files against the real quantizer and published sizes: every tensor's type, every byte."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.catalog.load import load_catalog
from planner.model.architecture import Architecture
from planner.model.huggingface import architecture_from_config
from planner.model.weights import gguf_weights
from planner.quantization.gguf_mix_table import MIXES
from tests.reality.tables import table

HERE = Path(__file__).parent
UNIT = {"GB": 10**9, "TB": 10**12, "GiB": 2**30}
TOLERANCE = 0.002
"""Share by which a published size may differ: headers, vocabularies and rounded figures."""
BASE_MIXTRAL_VOCABULARY = 32_000


@functools.cache
def architecture(name: str) -> Architecture:
    config = load_catalog().model(name.removesuffix("-base")).config
    if name == "mixtral-8x22b-base":
        config = {**config, "vocab_size": BASE_MIXTRAL_VOCABULARY}
    return architecture_from_config(config)


def group(name: str) -> list[tuple[str, str, bool]]:
    found = ((row["model"], row["mix"], row["imatrix"] == "1") for row in table(name))
    return list(dict.fromkeys(found))


def blocks(text: str) -> Iterator[int | None]:
    if not text:
        yield None
    for part in text.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


@functools.cache
def real_types() -> dict[tuple[str, str, bool], dict[str, str]]:
    found: dict[tuple[str, str, bool], dict[str, str]] = {}
    for row in table("gguf_tensor_types.csv"):
        types = found.setdefault((row["model"], row["mix"], row["imatrix"] == "1"), {})
        for block in blocks(row["blocks"]):
            prefix = "" if block is None else f"blk.{block}."
            types[prefix + row["tensor"]] = row["type"]
    return found


@pytest.mark.parametrize("row", table("gguf_sizes_dryrun.csv"), ids=lambda row: row["model"])
def test_bytes_equal_the_real_quantizer(row: dict[str, str]) -> None:
    weights = gguf_weights(architecture(row["model"]), row["mix"], row["imatrix"] == "1")
    assert weights.total_bytes == int(row["bytes"])


@pytest.mark.parametrize(("model", "mix", "imatrix"), group("gguf_tensor_types.csv"))
def test_every_tensor_has_the_type_the_real_quantizer_gives_it(
    model: str, mix: str, imatrix: bool
) -> None:
    weights = gguf_weights(architecture(model), mix, imatrix)
    assert {t.name: t.type for t in weights.tensors} == real_types()[model, mix, imatrix]


@pytest.mark.parametrize("model", ["mixtral-8x22b", "gpt-oss-20b"])
def test_types_are_known_for_every_mix(model: str) -> None:
    """The two networks with rules of their own are covered mix by mix."""
    covered = {mix for name, mix, _ in real_types() if name == model}
    assert covered == set(MIXES) - {"F32"}


@pytest.mark.parametrize("row", table("gguf_sizes_published.csv"), ids=lambda row: row["model"])
def test_published_sizes_are_within_two_per_mille(row: dict[str, str]) -> None:
    published = float(row["size"]) * UNIT[row["unit"]]
    ours = gguf_weights(architecture(row["model"]), row["mix"], row["imatrix"] == "1").total_bytes
    assert ours == pytest.approx(published, rel=TOLERANCE)


def test_scoreboard(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints what the README quotes; fails when rows are lost."""
    dry, published = table("gguf_sizes_dryrun.csv"), table("gguf_sizes_published.csv")
    worst = max(
        abs(
            gguf_weights(architecture(row["model"]), row["mix"], row["imatrix"] == "1").total_bytes
            / (float(row["size"]) * UNIT[row["unit"]])
            - 1
        )
        for row in published
    )
    decisions = sum(len(types) for types in real_types().values())
    with capsys.disabled():
        print(
            f"\nGGUF: {len(dry)} dry runs to the byte, {decisions:,} tensor types, "
            f"{len(published)} published sizes within {worst:.3%}"
        )
    assert (len(dry), decisions, len(published)) == (340, 56_350, 42)
