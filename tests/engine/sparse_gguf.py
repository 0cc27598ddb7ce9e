"""GGUF files whose header is real and whose data is a hole: full-size models in a few kilobytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner.engines.llama_cpp.settings import padded
from planner.model.architecture import (
    Architecture,
    Dense,
    Grouped,
    Latent,
    MixtureOfExperts,
)
from planner.model.weights import StoredTensor, Weights

gguf: Any = pytest.importorskip(
    "gguf", reason="the gguf package of the test extra is not installed"
)
ALIGNMENT = 32
"""Bytes tensors are aligned to in a file."""


def write_sparse_gguf(path: Path, architecture: Architecture, weights: Weights) -> Path:
    """Write the header of a model's file, and leave the data out of it.

    The engine reads shapes and types, so it accounts for the memory of the real file; it must be
    stopped before it loads.
    """
    writer = gguf.GGUFWriter(path, architecture.gguf_name)
    writer.add_tokenizer_model("none")
    _write_network(writer, architecture)
    _write_feed_forward(writer, architecture)
    for tensor in weights.tensors:
        _write_tensor(writer, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    file = writer.fout[0]
    data = sum(padded(tensor.bytes, ALIGNMENT) for tensor in weights.tensors)
    file.truncate(padded(file.tell(), ALIGNMENT) + data)
    writer.close()
    return path


def _write_network(writer: Any, architecture: Architecture) -> None:
    """Sizes and attention."""
    attention = architecture.layers[0].attention
    writer.add_context_length(architecture.context_length)
    writer.add_embedding_length(architecture.hidden)
    writer.add_block_count(len(architecture.layers))
    writer.add_vocab_size(architecture.vocabulary)
    writer.add_head_count(attention.heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    mtp = sum(layer.mtp for layer in architecture.layers)
    if mtp:
        writer.add_nextn_predict_layers(mtp)
    match attention:
        case Latent():
            if attention.query_rank:
                writer.add_q_lora_rank(attention.query_rank)
            writer.add_kv_lora_rank(attention.kv_rank)
            writer.add_rope_dimension_count(attention.rope_dim)
            writer.add_head_count_kv(1)
            writer.add_key_length(attention.kv_rank + attention.rope_dim)
            writer.add_value_length(attention.kv_rank)
            writer.add_key_length_mla(attention.nope_dim + attention.rope_dim)
            writer.add_value_length_mla(attention.value_dim)
        case Grouped():
            writer.add_head_count_kv(attention.kv_heads)
            writer.add_key_length(attention.head_dim)
            writer.add_value_length(attention.head_dim)
            writer.add_rope_dimension_count(attention.head_dim)
            if attention.window:
                writer.add_sliding_window(attention.window)


def _write_feed_forward(writer: Any, architecture: Architecture) -> None:
    """Widths of dense and expert networks."""
    networks = [layer.feed_forward for layer in architecture.layers]
    dense = [network for network in networks if isinstance(network, Dense)]
    experts = [network for network in networks if isinstance(network, MixtureOfExperts)]
    width = dense[0].intermediate if dense else experts[0].intermediate
    writer.add_feed_forward_length(width)
    if not experts:
        return
    writer.add_expert_count(experts[0].experts)
    writer.add_expert_used_count(experts[0].used)
    writer.add_expert_feed_forward_length(experts[0].intermediate)
    if experts[0].shared_intermediate:
        writer.add_expert_shared_count(experts[0].shared_intermediate // experts[0].intermediate)
        writer.add_leading_dense_block_count(len(dense))
        writer.add_expert_weights_scale(2.5)
        writer.add_expert_weights_norm(True)
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)


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
