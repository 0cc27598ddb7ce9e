"""Small models that were really loaded: cache and graphs as printed, to 0.25 %."""

from __future__ import annotations

import pytest

from planner.engines.llama_cpp.compute import Graph
from planner.engines.llama_cpp.memory import SplitMemory
from planner.model.architecture import (
    Architecture,
    Attention,
    Dense,
    FeedForward,
    Grouped,
    Latent,
    Layer,
    MixtureOfExperts,
)
from planner.model.weights import gguf_weights
from planner.units import MIB
from tests.reality.llama_tables import predicted, settings_of
from tests.reality.tables import table

PRINTED = 0.01
"""MiB to which the engine prints the cache."""
CLOSE = 0.0025
"""Share by which small inputs of unknown origin are off."""
MLA = Latent(heads=8, query_rank=256, kv_rank=512, nope_dim=128, rope_dim=64, value_dim=128)
ROUTED = MixtureOfExperts(experts=16, used=4, intermediate=256)
SHARED = MixtureOfExperts(experts=16, used=4, intermediate=256, shared_intermediate=256)


def grouped(head_dim: int, window: int | None = None) -> Grouped:
    return Grouped(heads=8, kv_heads=2, head_dim=head_dim, window=window)


def network(
    name: str, blocks: list[tuple[Attention, FeedForward]], *, mtp: int = 0
) -> Architecture:
    return Architecture(
        gguf_name=name,
        hidden=512,
        vocabulary=2048,
        context_length=131072,
        tied=name == "gemma3",
        layers=tuple(
            Layer(attention=attention, feed_forward=feed, mtp=index >= len(blocks) - mtp)
            for index, (attention, feed) in enumerate(blocks)
        ),
        post_norms=name == "gemma3",
    )


LEAD, SLIM = Dense(intermediate=1536), Dense(intermediate=1024)
MODELS = {
    "llama": network("llama", [(grouped(64), SLIM)] * 24),
    "deepseek2": network("deepseek2", [(MLA, LEAD)] + [(MLA, SHARED)] * 20),
    "qwen3moe": network("qwen3moe", [(grouped(128), ROUTED)] * 24),
    "gpt-oss": network("gpt-oss", [(grouped(64, 128), ROUTED), (grouped(64), ROUTED)] * 12),
    "gemma3": network(
        "gemma3",
        (
            [(grouped(128, 1024), Dense(intermediate=1024))] * 5
            + [(grouped(128), Dense(intermediate=1024))]
        )
        * 4,
    ),
    "glm4moe": network("glm4moe", [(grouped(64), LEAD)] + [(grouped(64), SHARED)] * 20, mtp=1),
}


def rows() -> list[dict[str, str]]:
    return table("llama_narrow_b10434.csv")


@pytest.mark.parametrize("model", MODELS)
def test_loaded_models_have_the_printed_cache_and_graphs(model):
    """Once loaded, each device computes its own first norm, other than in the table before."""
    architecture = MODELS[model]
    compared = 0
    for row in rows():
        if row["model"] != model:
            continue
        settings = settings_of(row["arguments"], "b10434")
        slots = len(architecture.layers) + 1
        first = -(-slots // 2)
        memory = SplitMemory(architecture, gguf_weights(architecture, "Q8_0"), settings)
        devices, _ = predicted(memory, (first, slots - first), pipelined=False)
        graph = Graph(architecture, settings)
        for window, ours, cache, compute in zip(
            ((0, first), (first, slots)),
            devices,
            row["cache"].split(),
            row["compute"].split(),
            strict=True,
        ):
            loaded = graph.device(*window, pipelined=False, norm_before=False)
            assert ours.kv_cache / MIB == pytest.approx(float(cache), abs=PRINTED)
            assert loaded / MIB == pytest.approx(float(compute), rel=CLOSE, abs=PRINTED)
            compared += 1
    assert compared >= 18
