"""GGUF files whose header is real and whose data is a hole: full-size models in a few kilobytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner.model.architecture import (
    Architecture,
    Dense,
    Grouped,
    Latent,
    MixtureOfExperts,
)
from planner.model.gguf_recurrent import HYBRIDS
from planner.model.gguf_roles import HALF_FEED_FORWARD
from planner.model.weights import StoredTensor, Weights
from planner.units import padded
from tests.engine.sparse_hybrids import write_hybrid, write_latent

gguf: Any = pytest.importorskip(
    "gguf", reason="the gguf package of the test extra is not installed"
)
ALIGNMENT = 32
"""Bytes tensors are aligned to in a file."""
FACTORS_ROOM = 4096
"""Bytes for a table of rotary factors, which is no weight."""
WITH_LOGIT_SCALE = ("command-r", "cohere2", "granite", "granitemoe", "minicpm")
WITH_SECTIONS = ("paddleocr", "qwen2vl", "qwen3vl", "qwen3vlmoe")
"""Architectures whose files name the parts of a head that rotate by time, height and width."""
WITH_DEEPSTACK = ("qwen3vl", "qwen3vlmoe")
DEEPSTACK_LAYERS = 3
"""Layers of the vision tower that are added to the first layers of those."""
WITH_PATTERN = ("gemma4", "mellum", "mimo2", "step35")
"""Architectures that only read a list of which layers have a window."""


def write_sparse_gguf(path: Path, architecture: Architecture, weights: Weights) -> Path:
    """Write the header of a model's file, and leave the data out of it.

    The engine reads shapes and types, so it accounts for the memory of the real file; it must be
    stopped before it loads.
    """
    writer = gguf.GGUFWriter(path, architecture.gguf_name)
    writer.add_tokenizer_model("none")
    _write_network(writer, architecture)
    if architecture.gguf_name in HYBRIDS:
        write_hybrid(writer, architecture)
    else:
        _write_attention(writer, architecture)
        _write_widths(writer, architecture)
    _write_experts(writer, architecture)
    for tensor in weights.tensors:
        _write_tensor(writer, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    file = writer.fout[0]
    data = sum(padded(tensor.bytes, ALIGNMENT) for tensor in weights.tensors) + FACTORS_ROOM
    file.truncate(padded(file.tell(), ALIGNMENT) + data)
    writer.close()
    return path


def _write_network(writer: Any, architecture: Architecture) -> None:
    """Sizes, and the scalars that engines insist on."""
    name = architecture.gguf_name
    writer.add_context_length(architecture.context_length)
    writer.add_embedding_length(architecture.hidden)
    writer.add_block_count(len(architecture.layers))
    writer.add_vocab_size(architecture.vocabulary)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_layer_norm_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    mtp = len(architecture.layers) - architecture.depth
    if mtp:
        writer.add_nextn_predict_layers(mtp)
    if name in WITH_LOGIT_SCALE:
        writer.add_logit_scale(0.0625)
    if name == "dbrx":
        writer.add_clamp_kqv(8.0)
    if name == "gemma2":
        writer.add_attn_logit_softcapping(50.0)
        writer.add_final_logit_softcapping(30.0)
    if name in WITH_SECTIONS:
        writer.add_rope_dimension_sections([24, 20, 20, 0])
    if name in WITH_DEEPSTACK:
        writer.add_num_deepstack_layers(DEEPSTACK_LAYERS)


def _scalar_or_list(values: list[int]) -> int | list[int]:
    """One number where all layers have the same, as converters write it."""
    return values[0] if len(set(values)) == 1 else values


def _write_attention(writer: Any, architecture: Architecture) -> None:
    mixers = [layer.attention for layer in architecture.layers]
    writer.add_head_count(_scalar_or_list([mixer.heads for mixer in mixers]))
    match mixers[0]:
        case Latent() as latent:
            writer.add_head_count_kv(1)
            write_latent(writer, latent)
        case Grouped() as first:
            grouped = [mixer for mixer in mixers if isinstance(mixer, Grouped)]
            writer.add_head_count_kv(_scalar_or_list([mixer.kv_heads for mixer in grouped]))
            if architecture.gguf_name == "gemma4":
                _write_two_lengths(writer, grouped)
            else:
                writer.add_key_length(first.head_dim)
                writer.add_value_length(first.value_dim or first.head_dim)
                writer.add_rope_dimension_count(first.head_dim)
            windows = [mixer.window for mixer in grouped]
            if any(windows):
                writer.add_sliding_window(max(window or 0 for window in windows))
            if architecture.gguf_name in WITH_PATTERN:
                writer.add_sliding_window_pattern([window is not None for window in windows])


def _write_two_lengths(writer: Any, mixers: list[Grouped]) -> None:
    """Heads of layers with a window and of those without (Gemma 4)."""
    sliding = next(mixer.head_dim for mixer in mixers if mixer.window)
    full = next(mixer.head_dim for mixer in mixers if not mixer.window)
    writer.add_key_length(full)
    writer.add_value_length(full)
    writer.add_rope_dimension_count(full)
    writer.add_key_length_swa(sliding)
    writer.add_value_length_swa(sliding)
    writer.add_rope_dimension_count_swa(sliding)
    writer.add_embedding_length_per_layer_input(0)
    writer.add_tensor_info("rope_freqs.weight", [full // 2], np.dtype(np.float32), 2 * full)


def _write_widths(writer: Any, architecture: Architecture) -> None:
    """Widths of dense networks, or of experts where there are none."""
    networks = [layer.network for layer in architecture.layers]
    dense = [network.intermediate for network in networks if isinstance(network, Dense)]
    experts = [network for network in networks if isinstance(network, MixtureOfExperts)]
    if experts:
        first = experts[0]
        inner = first.dense_intermediate or first.intermediate
        writer.add_feed_forward_length(max(dense, default=inner))
        return
    halves = 2 if architecture.gguf_name in HALF_FEED_FORWARD else 1
    writer.add_feed_forward_length(_scalar_or_list([halves * width for width in dense]))


def _write_experts(writer: Any, architecture: Architecture) -> None:
    """Sizes of experts, and which layers have them."""
    networks = [layer.network for layer in architecture.layers]
    experts = [network for network in networks if isinstance(network, MixtureOfExperts)]
    if not experts:
        return
    first = experts[0]
    writer.add_expert_count(first.experts)
    writer.add_expert_used_count(first.used)
    writer.add_expert_feed_forward_length(first.intermediate)
    kinds = [isinstance(network, MixtureOfExperts) for network in networks]
    lead = kinds.index(True)
    writer.add_leading_dense_block_count(lead)
    writer.add_interleave_moe_layer_step(1 if all(kinds[lead:]) else lead + 1)
    writer.add_expert_weights_scale(2.5)
    writer.add_expert_weights_norm(True)
    writer.add_expert_gating_func(
        gguf.ExpertGatingFuncType.SIGMOID
        if first.score_bias or first.shared_intermediate
        else gguf.ExpertGatingFuncType.SOFTMAX
    )
    if first.latent:
        writer.add_moe_latent_size(first.latent)
    if first.shared_intermediate:
        writer.add_expert_shared_count(max(1, first.shared_intermediate // first.intermediate))
        writer.add_expert_shared_feed_forward_length(first.shared_intermediate)


def _write_tensor(writer: Any, tensor: StoredTensor) -> None:
    """Name, shape and type of one tensor; the library wants the shape of its bytes."""
    kind = gguf.GGMLQuantizationType[tensor.type.upper()]
    floats = {gguf.GGMLQuantizationType.F32: np.float32, gguf.GGMLQuantizationType.F16: np.float16}
    *outer, row = reversed(tensor.shape)
    if kind in floats:
        shape, element, raw = [*outer, row], np.dtype(floats[kind]), None
    else:
        block, size = gguf.GGML_QUANT_SIZES[kind]
        shape, element, raw = [*outer, row // block * size], np.dtype(np.uint8), kind
    writer.add_tensor_info(tensor.name, shape, element, tensor.bytes, raw_dtype=raw)
