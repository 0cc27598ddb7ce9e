"""GGUF files written byte by byte, whole or broken."""

from __future__ import annotations

import struct
from collections.abc import Sequence

UINT8, UINT32, BOOL, STRING, ARRAY, UINT64 = 0, 4, 7, 8, 9, 10
F32, Q4_K = 0, 12

LLAMA = (
    ("context_length", 4096),
    ("embedding_length", 256),
    ("block_count", 2),
    ("feed_forward_length", 512),
    ("attention.head_count", 4),
    ("attention.head_count_kv", 2),
)
"""Metadata of a network of two blocks."""

TENSORS = (
    ("token_embd.weight", (256, 32), Q4_K),
    ("output_norm.weight", (256,), F32),
    ("output.weight", (256, 32), Q4_K),
    *(
        (f"blk.{block}.{name}.weight", shape, F32 if len(shape) == 1 else Q4_K)
        for block in range(2)
        for name, shape in (
            ("attn_norm", (256,)),
            ("attn_q", (256, 256)),
            ("attn_k", (256, 128)),
            ("attn_v", (256, 128)),
            ("attn_output", (256, 256)),
            ("ffn_norm", (256,)),
            ("ffn_gate", (256, 512)),
            ("ffn_up", (256, 512)),
            ("ffn_down", (512, 256)),
        )
    ),
)
"""Its tensors: name, shape in ggml order, type number."""


def uint32(value: int) -> bytes:
    return struct.pack("<I", value)


def uint64(value: int) -> bytes:
    return struct.pack("<Q", value)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return uint64(len(raw)) + raw


def entry(key: str | bytes, kind: int, raw: bytes) -> bytes:
    """One metadata key and its value."""
    return text(key) + uint32(kind) + raw


def array(key: str, kind: int, count: int, raw: bytes) -> bytes:
    """One metadata key and an array."""
    return entry(key, ARRAY, uint32(kind) + uint64(count) + raw)


def tensor(name: str | bytes, shape: Sequence[int], kind: int, offset: int) -> bytes:
    """One entry of the tensor list."""
    dimensions = b"".join(map(uint64, shape))
    return text(name) + uint32(len(shape)) + dimensions + uint32(kind) + uint64(offset)


def container(
    entries: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
    *,
    start: bytes = b"GGUF" + uint32(3),
    tensor_count: int | None = None,
    key_count: int | None = None,
) -> bytes:
    """A header; the counts are those of what is given unless said otherwise."""
    tensor_count = len(tensors) if tensor_count is None else tensor_count
    key_count = len(entries) if key_count is None else key_count
    return b"".join((start, uint64(tensor_count), uint64(key_count), *entries, *tensors))


def small(*more: bytes) -> bytes:
    """The header of the network above, with a vocabulary and `more` metadata."""
    entries = [
        entry("general.architecture", STRING, text("llama")),
        *(entry(f"llama.{key}", UINT32, uint32(value)) for key, value in LLAMA),
        array("tokenizer.ggml.tokens", STRING, 1100, b"".join(text(f"t{i}") for i in range(1100))),
        array("tokenizer.ggml.token_type", UINT8, 1100, bytes(1100)),
        *more,
    ]
    tensors, offset = [], 0
    for name, shape, kind in TENSORS:
        tensors.append(tensor(name, shape, kind, offset))
        elements = shape[0] * (shape[1] if len(shape) > 1 else 1)
        offset += elements * 4 if kind == F32 else elements // 256 * 144
    return container(entries, tensors)
