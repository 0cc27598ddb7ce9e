"""Checkpoints of small networks: written as files, read back, and taken apart by block."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from planner.catalog.load import load_catalog
from planner.errors import FactsError
from planner.model.architecture import (
    Architecture,
    Compressed,
    Dense,
    Grouped,
    Latent,
    Layer,
    MixtureOfExperts,
)
from planner.model.checkpoint import read_checkpoint
from planner.model.checkpoint_weights import CheckpointWeights, checkpoint_weights, part_bytes
from planner.model.huggingface import architecture_from_config
from planner.model.network import block_parts, frame_parts
from planner.model.parameters import mtp_parameters, parameters
from planner.model.recurrent import KimiDelta
from planner.quantization.checkpoint_formats import Awq, Scaled
from planner.quantization.default_schemes import MXFP4, NVFP4, default_scheme
from planner.quantization.scheme import Scheme, rule

GROUPED = Grouped(heads=4, kv_heads=2, head_dim=64)
LATENT = Latent(heads=4, query_rank=128, kv_rank=128, nope_dim=64, rope_dim=32, value_dim=64)
EXPERTS = MixtureOfExperts(
    experts=4, used=2, intermediate=128, shared_intermediate=128, score_bias=True
)
NAMES = [
    name
    for name, row in load_catalog().quantizations.items()
    if row.kind == "checkpoint" or name in ("BF16", "F16")
]


def network(*layers: Layer, **traits: object) -> Architecture:
    plain = Architecture(
        gguf_name="deepseek2",
        hidden=256,
        vocabulary=512,
        context_length=64,
        tied=False,
        layers=layers,
    )
    return plain.model_copy(update=traits)


DENSE = Layer(mixer=GROUPED, network=Dense(intermediate=384))
SPARSE = Layer(mixer=LATENT, network=EXPERTS)
MTP = SPARSE.model_copy(update={"mtp": True})
BOTH = network(DENSE, SPARSE, SPARSE, unconverted_mtp=(MTP,))


def write(path: Path, found: CheckpointWeights) -> None:
    """All tensors as one safetensors file of zeros, one for each copy."""
    header: dict[str, Any] = {}
    end = 0
    for part in found.parts:
        for copy in range(part.copies):
            for tensor in part.tensors:
                name = f"{part.block}.{part.role}.{copy}.{tensor.name}"
                start, end = end, end + tensor.bytes
                header[name] = {
                    "dtype": tensor.dtype,
                    "shape": tensor.shape,
                    "data_offsets": [start, end],
                }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))


@pytest.mark.parametrize("name", NAMES)
def test_a_written_checkpoint_reads_back_to_the_byte(name: str, tmp_path: Path) -> None:
    """The safetensors package refuses types it does not know, and sizes that are not theirs."""
    found = checkpoint_weights(BOTH, default_scheme(name, experts=True))
    write(tmp_path / "model.safetensors", found)
    with safe_open(tmp_path / "model.safetensors", "np") as file:
        assert len(list(file.keys())) == sum(p.copies * len(p.tensors) for p in found.parts)
    read = read_checkpoint(tmp_path)
    assert read.bytes == found.total_bytes
    elements, wanted = Counter(), Counter()
    for tensor in read.tensors:
        elements[tensor.dtype] += tensor.elements
    for part in found.parts:
        for tensor in part.tensors:
            wanted[tensor.dtype] += part.copies * tensor.elements
    assert dict(elements) == {dtype: count for dtype, count in wanted.items() if count}


def test_an_unquantized_checkpoint_is_its_parameters() -> None:
    found = checkpoint_weights(BOTH, Scheme("BF16"))
    count = parameters(BOTH) + mtp_parameters(BOTH)
    assert sum(part.weights for part in found.parts) == count
    assert found.total_bytes == 2 * count + 2 * 3 * 4, "selection biases are F32"


@pytest.mark.parametrize("name", ["FP8", "NVFP4", "MLX-4bit", "NF4-double"])
def test_blocks_and_components_add_up(name: str) -> None:
    found = checkpoint_weights(BOTH, default_scheme(name, experts=True))
    assert sum(found.by_block.values()) == found.total_bytes
    assert sum(found.by_component.values()) == found.total_bytes
    assert list(found.by_block) == [None, 0, 1, 2, 3]
    assert found.by_block[1] == found.by_block[2]
    assert found.by_component["mtp"] == found.by_block[3] > found.by_block[2]


def test_mtp_blocks_may_be_left_out() -> None:
    scheme = default_scheme("FP8", experts=True)
    whole, without = checkpoint_weights(BOTH, scheme), checkpoint_weights(BOTH, scheme, mtp=False)
    assert without.total_bytes == whole.total_bytes - whole.by_component["mtp"]


@pytest.mark.parametrize("name", ["FP8", "NVFP4", "MLX-4bit", "INT4-W4A16-g32"])
def test_parts_alone_add_up_to_the_checkpoint(name: str) -> None:
    scheme = default_scheme(name, experts=True)
    total = sum(part_bytes(part, scheme) for part in frame_parts(BOTH))
    for block, layer in enumerate((*BOTH.layers, *BOTH.unconverted_mtp)):
        mtp = 0 if layer.mtp else None
        parts = block_parts(BOTH, layer)
        total += sum(part_bytes(part, scheme, block, layer, mtp) for part in parts)
    assert total == checkpoint_weights(BOTH, scheme).total_bytes


def formats(found: CheckpointWeights, role: str) -> list[tuple[int | None, int, str]]:
    return [(p.block, p.copies, p.tensors[0].dtype) for p in found.parts if p.role == role]


def test_experts_of_one_block_may_be_stored_in_unlike_ways() -> None:
    apart = rule(None, names=[f"model.layers.1.mlp.experts.{i}.up_proj" for i in (0, 3)])
    found = checkpoint_weights(BOTH, Scheme("mixed", (("", MXFP4),), (apart,)), mtp=False)
    assert formats(found, "mlp.experts.up_proj") == [(1, 2, "BF16"), (1, 2, "U8"), (2, 4, "U8")]


@pytest.mark.parametrize(
    "listed",
    [
        "model.layers.3",
        "mtp.layers.0",
        "mtp.0",
        "mtp",
    ],
)
def test_mtp_blocks_go_by_their_place_or_their_own_number(listed: str) -> None:
    found = checkpoint_weights(BOTH, Scheme("some", (("", NVFP4),), (rule(None, names=[listed]),)))
    assert formats(found, "self_attn.o_proj") == [
        (0, 1, "U8"),
        (1, 1, "U8"),
        (2, 1, "U8"),
        (3, 1, "BF16"),
    ]


@pytest.mark.parametrize(
    "listed",
    [
        "model.layers.1.block_sparse_moe.experts",
        "layers.1.ffn.experts",
        "backbone.layers.1.mixer.experts",
        "model.language_model.layers.1.feed_forward.experts",
    ],
)
def test_modules_go_by_the_names_of_all_publishers(listed: str) -> None:
    found = checkpoint_weights(BOTH, Scheme("some", (("", MXFP4),), (rule(None, names=[listed]),)))
    assert formats(found, "mlp.experts.down_proj")[:2] == [(1, 4, "BF16"), (2, 4, "U8")]


def test_experts_beside_a_dense_network_are_no_part_of_it() -> None:
    beside = EXPERTS.model_copy(update={"dense_intermediate": 128, "router_scales": True})
    one = network(Layer(mixer=GROUPED, network=beside))
    scheme = Scheme("NVFP4", (("", NVFP4),), (rule(None, globs=["model.layers.0.mlp*"]),))
    found = checkpoint_weights(one, scheme)
    assert formats(found, "mlp.up_proj") == [(0, 1, "BF16")]
    assert formats(found, "mlp.experts.up_proj") == [(0, 4, "U8")]


def test_scales_of_a_quantized_cache_are_two_numbers_a_layer() -> None:
    plain, cached = Scheme("a"), Scheme("a", kv_scales=True)
    one = network(DENSE, DENSE)
    more = checkpoint_weights(one, cached).total_bytes - checkpoint_weights(one, plain).total_bytes
    assert more == 2 * 2 * 4


def test_states_and_mixes_are_kept_in_single_precision() -> None:
    delta = KimiDelta(heads=2, head_dim=64, kernel=4)
    compressed = Compressed(
        heads=4, head_dim=64, query_rank=64, output_groups=2, output_rank=64, window=8, ratio=4
    )
    layers = [Layer(mixer=mixer, network=None) for mixer in (delta, compressed)]
    found = checkpoint_weights(network(*layers, residual_streams=2), Scheme("BF16"))
    single = {part.role for part in found.parts if part.tensors[0].dtype == "F32"}
    assert {"self_attn.A_log", "self_attn.dt_bias", "self_attn.q_conv1d"} <= single
    assert {"self_attn.sinks", "self_attn.compressor.position_bias", "hc_attn_fn"} <= single
    assert "self_attn.q_proj" not in single


def test_a_table_of_experts_holds_whole_numbers() -> None:
    layer = Layer(mixer=GROUPED, network=EXPERTS.model_copy(update={"by_token": True}))
    found = checkpoint_weights(network(layer), Scheme("BF16"))
    assert formats(found, "mlp.gate.tid2eid") == [(0, 1, "I64")]


def test_a_matrix_that_does_not_fit_its_format_is_refused() -> None:
    odd = network(Layer(mixer=GROUPED, network=Dense(intermediate=200)))
    with pytest.raises(FactsError, match="AWQ cannot store a matrix of 256 x 200"):
        checkpoint_weights(odd, Scheme("AWQ", (("", Awq()),)))


def test_bits_per_weight_are_of_the_whole_checkpoint() -> None:
    only = network(DENSE, tied=True)
    whole = checkpoint_weights(only, Scheme("BF16"))
    assert whole.bits_per_weight == 16
    scaled = Scheme("FP8", (("", Scaled(None, None)),))
    assert 8 < checkpoint_weights(only, scaled).bits_per_weight < 16


@pytest.mark.parametrize("name", list(load_catalog().models))
def test_every_model_of_the_catalog_can_be_sized(name: str) -> None:
    architecture = architecture_from_config(load_catalog().model(name).config)
    for quant in ("FP8", "MLX-4bit"):
        found = checkpoint_weights(architecture, default_scheme(quant, experts=True))
        assert 4 < found.bits_per_weight < 14
