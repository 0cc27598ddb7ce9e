"""Which generations of AMD's GPUs the engines take, and in which formats."""

from __future__ import annotations

import pytest

from planner.catalog import load_catalog
from planner.engines import serving
from planner.engines.grid import Grid, Options, Place
from planner.quantization.default_schemes import default_scheme
from planner.subject import architecture_of

VERSIONS = {"vllm": "0.32.0", "sglang": "0.5.23"}


@pytest.mark.parametrize(
    ("engine", "quant", "generation", "said"),
    [
        ("vllm", "FP8", "cdna3", ""),
        ("vllm", "FP8", "rdna4", ""),
        ("vllm", "FP8", "rdna3.5", "vLLM loads FP8 on cdna3, cdna4, rdna4, not rdna3.5"),
        ("vllm", "FP8", "cdna2", "not cdna2"),
        ("vllm", "BF16", "rdna3.5", ""),
        ("vllm", "BF16", "cdna1", "vLLM does not run on AMD's cdna1"),
        ("sglang", "BF16", "cdna3", ""),
        ("sglang", "BF16", "rdna4", "SGLang does not run on AMD's rdna4"),
    ],
)
def test_generations(engine: str, quant: str, generation: str, said: str) -> None:
    architecture = architecture_of(load_catalog(), "llama-3.1-8b")
    place = Place(
        family="rocm", capability=None, gpus_per_machine=1, gpus=1, generations=(generation,)
    )
    options = Options(context=8192, version=VERSIONS[engine])
    scheme = default_scheme(quant, experts=False)
    reasons = serving.rules(engine).illegal(architecture, scheme, Grid(), options, place)
    assert said in "; ".join(reasons)
    assert bool(reasons) == bool(said)
