"""Weights of hyper-connections and of n-gram embeddings (Qwen3.8 Flash Next). Model layer.

Source: the reference module `qwen4_exp` of Hugging Face transformers 5.24.
"""

from __future__ import annotations

import math

from planner.errors import UnsupportedArchitecture
from planner.model.components import Component
from planner.model.config_fields import Fields
from planner.model.extra import Extra
from planner.units import padded

_MOST_ROWS = 1 << 32
_MOST_HEADS = 1024
"""Longer tables of one n-gram head, and more heads, are an error in the file."""


def hyper_connections(read: Fields, layer: int) -> tuple[Extra, ...]:
    """What mixes the streams of the hidden state before and after both parts of a block."""
    streams, hidden = read.count("hc_count"), read.count("hidden_size")
    return tuple(
        extra
        for where in ("attn_hyper_connection", "mlp_hyper_connection")
        for extra in (
            *_mixing(read, where),
            _matrix(f"{where}.block_inject_weight", streams, streams * hidden, "norm"),
        )
    )


def hyper_connection_end(read: Fields) -> tuple[Extra, ...]:
    """What joins the streams behind the last block, in place of a norm."""
    return _mixing(read, "hyper_connection_mixer")


def _mixing(read: Fields, where: str) -> tuple[Extra, ...]:
    width = read.count("hc_count") * read.count("hidden_size")
    rank = read.count("hc_lowrank")
    return (
        Extra(role=f"{where}.hc_norm", shape=(width,)),
        _matrix(f"{where}.input_mix_weight_down", rank, width, "norm"),
        _matrix(f"{where}.input_mix_weight_up", width, rank, "norm"),
    )


def ngram_embedding(read: Fields, layer: int) -> tuple[Extra, ...]:
    """A table of hashed n-grams, and what adds its rows to the streams, in `ple_layer_ids`.

    Each head has a prime number of rows, the next ones after the base; the tables of a layer lie
    behind one another, rounded up to a multiple.
    """
    layers = sorted({one for one in read.items("ple_layer_ids") if isinstance(one, int)})
    if layer + 1 not in layers:
        return ()
    hidden, size = read.count("hidden_size"), read.count("ngram_size", default=3)
    heads = (size - 1) * read.count("heads_per_ngram", default=8)
    width = read.count("hc_count") * hidden
    inner = read.count("ple_embed_dim", default=hidden)
    base = read.count("ngram_vocab_size_base", default=20_000_000)
    step = read.count("make_ngram_vocab_size_divisible_by", default=128)
    if not heads or base > _MOST_ROWS or heads * len(layers) > _MOST_HEADS:
        raise UnsupportedArchitecture(
            f"config has {heads * len(layers)} tables of n-grams with {base} rows",
            hint=f"up to {_MOST_HEADS} with {_MOST_ROWS} rows are read",
        )
    first = layers.index(layer + 1) * heads
    rows = sum(_primes(base, first + heads)[first:])
    name = "ple."
    return (
        Extra(role=f"{name}layer_multipliers", shape=(size,)),
        Extra(role=f"{name}ngram_heads_vocab_sizes", shape=(heads,)),
        Extra(role=f"{name}ngram_heads_offsets", shape=(heads,)),
        Extra(
            role=f"{name}ngram_embedding",
            shape=(padded(rows, step), inner // heads),
            component="embedding",
        ),
        _matrix(f"{name}key_proj", width, inner, "dense"),
        _matrix(f"{name}value_proj", hidden, inner, "dense"),
        *(Extra(role=f"{name}norm_{which}", shape=(width,)) for which in ("key", "query", "conv")),
        Extra(
            role=f"{name}conv1d",
            shape=(width, read.count("ple_conv_kernel_size", default=4)),
            component="dense",
        ),
    )


def _matrix(role: str, rows: int, columns: int, component: Component) -> Extra:
    return Extra(role=role, shape=(rows, columns), component=component, linear=True)


def _primes(start: int, count: int) -> list[int]:
    """The first `count` primes from `start` on."""
    found: list[int] = []
    value = start
    while len(found) < count:
        if _is_prime(value):
            found.append(value)
        value += 1
    return found


def _is_prime(value: int) -> bool:
    return value > 1 and all(value % divisor for divisor in range(2, math.isqrt(value) + 1))
