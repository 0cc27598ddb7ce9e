"""Small networks with weights of round sizes, and devices with round rates."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest

from planner.catalog.schema import Gpu, Network
from planner.model.architecture import (
    Architecture,
    Dense,
    Grouped,
    Latent,
    Layer,
    MixtureOfExperts,
)
from planner.model.tensors import Component
from planner.model.weights import StoredTensor, Weights

DAY = datetime.date(2026, 11, 25)
GROUPED = Grouped(heads=32, kv_heads=8, head_dim=128)
WINDOWED = Grouped(heads=32, kv_heads=8, head_dim=128, window=1024)
LATENT = Latent(heads=64, query_rank=1536, kv_rank=512, nope_dim=128, rope_dim=64, value_dim=128)
DENSE = Dense(intermediate=14336)
EXPERTS = MixtureOfExperts(experts=64, used=8, intermediate=1024)

MakeGpu = Callable[..., Gpu]
MakeNetwork = Callable[..., tuple[Architecture, Weights]]


@pytest.fixture
def make_gpu() -> MakeGpu:
    """A device with 1 TB/s and 100 TFLOP/s, unless told otherwise."""

    def make(**changes: object) -> Gpu:
        fields: dict[str, object] = {
            "name": "card",
            "title": "Card",
            "vendor": "nvidia",
            "family": "cuda",
            "architecture": "ada",
            "nominal_memory": "24 GB",
            "memory_bandwidth": 10**12,
            "dense_fp16": 1e14,
            "speed_class": "geforce",
            "source": "test",
            "checked": DAY,
        }
        return Gpu.model_validate(fields | changes)

    return make


@pytest.fixture
def make_network() -> MakeNetwork:
    """Layers of 1 GB quantized attention and network each; 64 experts of 1 GB in sum."""

    def make(*layers: Layer, tied: bool = False) -> tuple[Architecture, Weights]:
        tensors = [_tensor("token_embd.weight", None, "embedding", 7 * 10**8)]
        for block, layer in enumerate(layers):
            tensors.append(_tensor(f"blk.{block}.attn.weight", block, "attention", 10**9))
            if layer.feed_forward.kind == "moe":
                tensors.append(_tensor(f"blk.{block}.exps.weight", block, "experts", 10**9))
        if not tied:
            tensors.append(_tensor("output.weight", None, "output", 5 * 10**8))
        architecture = Architecture(
            gguf_name="test",
            hidden=4096,
            vocabulary=128256,
            context_length=131072,
            tied=tied,
            layers=layers,
        )
        return architecture, Weights(tensors=tuple(tensors))

    return make


@pytest.fixture
def ethernet() -> Network:
    """100 Gb/s with hops of 1.5, 0.6 and 0.25 ms."""
    return Network.model_validate(
        {
            "name": "ethernet",
            "source": "test",
            "checked": DAY,
            "bandwidth_per_direction": "100 Gb/s",
            "hop_low": 1.5e-3,
            "hop_best": 0.6e-3,
            "hop_high": 0.25e-3,
            "adapter": 300,
            "cable": 100,
            "switch": 4000,
            "direct": 2,
            "ports": 4,
        }
    )


@pytest.fixture
def dense_layer() -> Layer:
    return Layer(attention=GROUPED, feed_forward=DENSE)


@pytest.fixture
def windowed_layer() -> Layer:
    return Layer(attention=WINDOWED, feed_forward=DENSE)


@pytest.fixture
def latent_layer() -> Layer:
    return Layer(attention=LATENT, feed_forward=DENSE)


@pytest.fixture
def expert_layer() -> Layer:
    return Layer(attention=GROUPED, feed_forward=EXPERTS)


def _tensor(name: str, block: int | None, component: Component, size: int) -> StoredTensor:
    """`size` bytes of Q8_0: 34 bytes are 32 weights."""
    shape = (4096, size * 32 // 34 // 4096)
    return StoredTensor(name, shape, "Q8_0", size, block, component)
