"""Small dense networks for the tests of vLLM and SGLang."""

from __future__ import annotations

from planner.model.architecture import Architecture, Dense, Grouped, Latent, Layer, Mixer
from planner.quantization.default_schemes import default_scheme

FULL = Grouped(heads=16, kv_heads=8, head_dim=128)
LATENT = Latent(heads=16, query_rank=None, kv_rank=512, nope_dim=128, rope_dim=64, value_dim=128)
BF16 = default_scheme("BF16", experts=False)


def network(*mixers: Mixer) -> Architecture:
    """A network with one dense block per mixer."""
    return Architecture(
        gguf_name="llama",
        hidden=2048,
        vocabulary=32_000,
        context_length=8192,
        tied=False,
        layers=tuple(Layer(mixer=mixer, network=Dense(intermediate=4096)) for mixer in mixers),
    )
