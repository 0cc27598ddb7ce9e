"""Mixers and a small network that several tests count by hand."""

from __future__ import annotations

from planner.model.architecture import (
    Architecture,
    Dense,
    Grouped,
    Indexer,
    Layer,
    MixtureOfExperts,
)

INDEXER = Indexer(heads=64, head_dim=128)
LATENT = {
    "heads": 128,
    "query_rank": 1536,
    "kv_rank": 512,
    "nope_dim": 128,
    "rope_dim": 64,
    "value_dim": 128,
}
"""Fields of the latent attention of DeepSeek V3."""
V4 = {
    "heads": 64,
    "head_dim": 512,
    "query_rank": 1024,
    "output_groups": 8,
    "output_rank": 1024,
    "window": 128,
}
"""Fields of the compressed attention of DeepSeek V4."""

HIDDEN, VOCABULARY = 8, 100
GROUPED = Grouped(heads=4, kv_heads=2, head_dim=3)
DENSE = Dense(intermediate=20)
EXPERTS = MixtureOfExperts(experts=6, used=2, intermediate=5)


def network(*layers: Layer, **traits: object) -> Architecture:
    """A network of these layers, 8 channels wide."""
    plain = Architecture(
        gguf_name="llama",
        hidden=HIDDEN,
        vocabulary=VOCABULARY,
        context_length=64,
        tied=False,
        layers=layers,
    )
    return plain.model_copy(update=traits)
