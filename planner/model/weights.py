"""The bytes of every tensor of a GGUF file, from the architecture and the mix alone.

Model layer: tensor list x per-tensor rule x block table. Sums are of tensor bytes; a file adds
its header and vocabulary (5 to 20 MB) and pads each tensor to 32 bytes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from planner.model.architecture import Architecture, Grouped, Latent, MixtureOfExperts
from planner.model.tensors import Component, Shape, gguf_tensors
from planner.quantization.gguf_mixes import MixFacts, choose_types
from planner.quantization.gguf_types import tensor_bytes

BLOCKS_OF_70B = {"llama": 80, "qwen2": 80, "deci": 80, "olmo": 80, "jais2": 68}
"""GGUF architecture to the number of blocks by which llama.cpp b11434 takes a network for a 70B
(src/models/*.cpp); a `llama` with as many KV heads as heads is a 65B there."""

ONE_HEAD_COUNT = ("qwen3next", "qwen35", "qwen35moe")
"""GGUF architectures with a recurrence whose files state one number of KV heads for all blocks;
others state it block by block, and the quantizer asks for the first block's: 0 of a recurrence."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor as a file stores it."""

    name: str
    shape: Shape
    """Row length first."""
    type: str
    """Storage type, e.g. `Q4_K`."""
    bytes: int
    block: int | None
    """Transformer block, MTP blocks last; None outside blocks."""
    component: Component


@dataclass(frozen=True)
class Weights:
    """All tensors of one file, in the quantizer's order."""

    tensors: tuple[StoredTensor, ...]

    @functools.cached_property
    def total_bytes(self) -> int:
        """Sum of tensor bytes, MTP blocks included."""
        return sum(tensor.bytes for tensor in self.tensors)


@functools.lru_cache(maxsize=256)
def gguf_weights(architecture: Architecture, mix: str, imatrix: bool = False) -> Weights:
    """The tensors of `architecture` under `mix`; remembered.

    `imatrix` says whether an importance matrix was used: it changes the size of IQ4_XS, IQ4_NL,
    IQ3_XXS, Q4_0 and Q5_0 only.

    Raises:
        FactsError: no such mix.
    """
    tensors = gguf_tensors(architecture)
    types = choose_types(
        mix, [(tensor.name, tensor.shape) for tensor in tensors], mix_facts(architecture), imatrix
    )
    size = functools.cache(tensor_bytes)
    return Weights(
        tuple(
            StoredTensor(
                tensor.name,
                tensor.shape,
                type_name,
                size(type_name, tensor.shape),
                tensor.block,
                tensor.component,
            )
            for tensor, type_name in zip(tensors, types, strict=True)
        )
    )


def mix_facts(architecture: Architecture) -> MixFacts:
    """What the quantizer reads of the network from the header of its file."""
    name, blocks = architecture.gguf_name, len(architecture.layers)
    mixers = [layer.mixer for layer in architecture.layers]
    if name in ONE_HEAD_COUNT:
        mixers = [mixer for mixer in mixers if isinstance(mixer, Grouped)]
    match mixers[0]:
        case Grouped() as first:
            groups = first.heads // first.kv_heads
        case Latent() as first:
            groups = first.heads
        case _:
            groups = 0
    experts = max(
        (
            layer.network.experts
            for layer in architecture.layers
            if isinstance(layer.network, MixtureOfExperts)
        ),
        default=0,
    )
    is_70b = BLOCKS_OF_70B.get(name) == blocks and (name != "llama" or groups > 1)
    return MixFacts(blocks, groups, experts, is_70b)
