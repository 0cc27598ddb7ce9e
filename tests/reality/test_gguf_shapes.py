"""Every network of a known GGUF architecture gets a file and memory, whatever the mix and split."""

from __future__ import annotations

import itertools

import pytest

from planner.engines.llama_cpp.loaded import as_loaded
from planner.engines.llama_cpp.memory import SplitMemory
from planner.model.gguf_names import block_of, component_of
from planner.model.gguf_roles import GGUF_NAMES
from planner.model.parameters import by_component
from planner.model.tensors import gguf_tensors
from planner.model.weights import gguf_weights
from tests.reality.gguf_shapes import networks, one_per_architecture
from tests.reality.llama_tables import settings_of

NAMES = sorted(networks())


def test_every_architecture_has_a_network() -> None:
    assert {network.gguf_name for network in networks().values()} == set(GGUF_NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_tensors_are_distinct_and_hold_every_parameter(name: str) -> None:
    network = networks()[name]
    tensors = gguf_tensors(network)
    assert len({tensor.name for tensor in tensors}) == len(tensors)
    assert sum(tensor.elements for tensor in tensors) == by_component(network).total()


@pytest.mark.parametrize("name", sorted(one_per_architecture()))
def test_names_of_tensors_tell_what_they_belong_to(name: str) -> None:
    network = one_per_architecture()[name]
    mtp = {block for block, layer in enumerate(network.layers) if layer.mtp}
    for tensor in gguf_tensors(network):
        assert component_of(tensor.name, mtp) == tensor.component, tensor.name
        assert block_of(tensor.name) == tensor.block


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mix", ["Q4_K_M", "Q8_0", "IQ4_XS"])
def test_bits_per_weight_are_near_those_of_the_mix(name: str, mix: str) -> None:
    """Rows that do not divide by 256 take larger types: gpt-oss, and others with narrow experts."""
    network = networks()[name]
    bits = 8 * gguf_weights(network, mix).total_bytes / by_component(network).total()
    low, high = {"Q4_K_M": (4.7, 7.1), "Q8_0": (8.5, 8.6), "IQ4_XS": (4.25, 5.5)}[mix]
    assert low <= bits <= high


@pytest.mark.parametrize("name", sorted(one_per_architecture()))
@pytest.mark.parametrize("build", ["b10434", "b11434"])
def test_parts_of_a_split_hold_all_weights_and_cache(name: str, build: str) -> None:
    network = one_per_architecture()[name]
    settings = settings_of("-c 16384 -np 1 -fa on", build)
    memory = SplitMemory(network, gguf_weights(network, "Q4_K_M"), settings)
    whole = memory.device(0, memory.slots, devices=1, pipelined=settings.rpc_pipelines)
    for count in (2, 4):
        cuts = [memory.slots * device // count for device in range(count + 1)]
        parts = [
            memory.device(first, stop, devices=count, pipelined=settings.rpc_pipelines)
            for first, stop in itertools.pairwise(cuts)
        ]
        assert sum(part.weights for part in parts) == whole.weights
        assert sum(part.kv_cache for part in parts) == whole.kv_cache
        assert min(part.compute for part in parts) > 0


def test_windows_count_only_where_the_engine_honours_them() -> None:
    """Phi 3, StarCoder 2 and small EXAONE 4 name one; llama.cpp keeps all tokens."""
    for name, windows in (
        ("microsoft/Phi-3.5-mini-instruct", False),
        ("bigcode/starcoder2-7b", False),
        ("exaone4-small", False),
        ("exaone4", True),
        ("google/gemma-2-27b-it", True),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", True),
    ):
        layers = as_loaded(networks()[name]).layers
        assert any(layer.attention.window for layer in layers) is windows, name
