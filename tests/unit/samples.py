"""Mixers, a small network and a small config that several tests count by hand."""

from __future__ import annotations

from typing import Any

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

BASE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "max_position_embeddings": 4096,
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
}
"""Fields of a small network, as in a config.json without a `model_type`."""

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
