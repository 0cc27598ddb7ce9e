"""Bytes of a file: sums, types by component, and what is remembered."""

from __future__ import annotations

import pytest

from planner.catalog.load import load_catalog
from planner.model.architecture import Architecture, Grouped
from planner.model.huggingface import architecture_from_config
from planner.model.tensors import gguf_tensors
from planner.model.weights import gguf_weights, mix_facts
from planner.quantization.gguf_mixes import MIXES, MixFacts


def architecture(name: str) -> Architecture:
    return architecture_from_config(load_catalog().model(name).config)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("kimi-k2", MixFacts(61, 64, 384)),
        ("glm-4.5", MixFacts(93, 12, 160)),
        ("llama-3.1-70b", MixFacts(80, 8, 0, is_70b=True)),
        ("llama-3.1-405b", MixFacts(126, 16)),
        ("gemma3-27b", MixFacts(62, 2)),
        ("mixtral-8x22b", MixFacts(56, 6, 8)),
    ],
)
def test_what_the_quantizer_reads_of_a_network(name: str, facts: MixFacts) -> None:
    assert mix_facts(architecture(name)) == facts


@pytest.mark.parametrize("mix", list(MIXES))
def test_the_total_is_the_sum_of_the_same_tensors(mix: str) -> None:
    network = architecture("glm-4.5-air")
    weights = gguf_weights(network, mix)
    assert weights.total_bytes == sum(tensor.bytes for tensor in weights.tensors)
    assert [t.name for t in weights.tensors] == [t.name for t in gguf_tensors(network)]


def test_mtp_blocks_are_in_the_file() -> None:
    weights = gguf_weights(architecture("glm-4.5-air"), "Q8_0")
    mtp = [tensor for tensor in weights.tensors if tensor.component == "mtp"]
    assert {tensor.block for tensor in mtp} == {46}
    assert sum(tensor.bytes for tensor in mtp) > 3_616_573_568


def test_a_larger_float_is_a_larger_file() -> None:
    network = architecture("gpt-oss-20b")
    sizes = [gguf_weights(network, mix).total_bytes for mix in ("Q8_0", "F16", "F32")]
    assert sizes == sorted(sizes)
    assert gguf_weights(network, "F16").total_bytes == gguf_weights(network, "BF16").total_bytes
    assert sizes[2] == 4 * 20_914_757_184


@pytest.mark.parametrize(
    ("name", "blocks", "kv_heads", "expected"),
    [
        ("llama", 80, 8, True),
        ("llama", 80, 64, False),
        ("llama", 79, 8, False),
        ("qwen2", 80, 8, True),
    ],
)
def test_the_engine_takes_a_network_for_a_70b_by_its_blocks(
    name: str, blocks: int, kv_heads: int, expected: bool
) -> None:
    network = architecture("llama-3.1-70b")
    attention = Grouped(heads=64, kv_heads=kv_heads, head_dim=128)
    layer = network.layers[0].model_copy(update={"mixer": attention})
    changed = network.model_copy(update={"gguf_name": name, "layers": (layer,) * blocks})
    assert mix_facts(changed).is_70b is expected


def test_the_same_question_is_answered_once() -> None:
    network = architecture("gpt-oss-20b")
    assert gguf_weights(network, "Q4_K_M") is gguf_weights(architecture("gpt-oss-20b"), "Q4_K_M")
