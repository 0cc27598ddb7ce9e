"""Which storage type each tensor of a GGUF file gets under a mix such as Q4_K_M.

Quantization layer: applies the tables of `planner.quantization.gguf_mix_table` to a tensor list,
as `llama-quantize` does (llama.cpp b11434, src/llama-quant.cpp), in the order it visits tensors.
Files marked "UD", "_L" or "_XL" follow other rules: only their own header is true.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from planner.errors import FactsError, near_names
from planner.quantization.gguf_mix_table import MIXES, Category, Mix, MixFacts, Place
from planner.quantization.gguf_types import BLOCKS

__all__ = ["MIXES", "UNQUANTIZED", "MixFacts", "choose_types", "mix_named"]

UNQUANTIZED = "F32"
"""Type of tensors the quantizer leaves alone, as converters write them."""

_CATEGORIES: tuple[tuple[str, Category], ...] = (
    ("attn_qkv.weight", "value"),
    ("attn_kv_b.weight", "value"),
    ("attn_v.weight", "value"),
    ("attn_k.weight", "key"),
    ("attn_q.weight", "query"),
    ("attn_output.weight", "attention_output"),
    ("ffn_up", "up"),
    ("ffn_gate", "gate"),
    ("ffn_down", "down"),
)
"""Part of a tensor's name to its category; the first part found wins."""

_KEPT_PARTS = ("_norm.weight", "ffn_gate_inp.weight", "ssm_conv1d", "shortconv.conv.weight")
"""Parts of names of matrices that are never quantized: norms, routers and short convolutions."""

_FALLBACK = {
    "IQ1_S": "IQ4_NL",
    "IQ1_M": "IQ4_NL",
    "IQ2_XXS": "IQ4_NL",
    "IQ2_XS": "IQ4_NL",
    "IQ2_S": "IQ4_NL",
    "IQ3_XXS": "IQ4_NL",
    "IQ3_S": "IQ4_NL",
    "IQ4_XS": "IQ4_NL",
    "Q2_K": "Q4_0",
    "Q3_K": "Q4_0",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
"""Type of 256-weight blocks to the 32-weight one taken where rows do not divide by 256."""

_FLOATS = ("F32", "F16", "BF16")


class _Name(NamedTuple):
    """A tensor's name without its block number, as the rules see it."""

    category: Category
    kept: bool


@functools.cache
def _read_name(suffix: str) -> _Name:
    category: Category = next((kind for part, kind in _CATEGORIES if part in suffix), "other")
    if suffix == "output.weight":
        category = "output"
    elif suffix == "token_embd.weight":
        category = "embedding"
    kept = not suffix.endswith("weight") or any(part in suffix for part in _KEPT_PARTS)
    return _Name(category, kept)


def _split(name: str) -> tuple[int, str]:
    """The block number, -1 outside blocks, and the rest of a tensor's name."""
    if not name.startswith("blk."):
        return -1, name
    number, suffix = name[4:].split(".", 1)
    return int(number), suffix


def mix_named(name: str) -> Mix:
    """The mix called `name`.

    Raises:
        FactsError: no such mix.
    """
    mix = MIXES.get(name)
    if mix is None:
        near = near_names(name, MIXES)
        raise FactsError(
            f"no per-tensor rules for GGUF mix '{name}'",
            hint=f"did you mean {' or '.join(near)}?" if near else "known: " + ", ".join(MIXES),
        )
    return mix


def choose_types(
    mix: str, tensors: Sequence[tuple[str, tuple[int, ...]]], facts: MixFacts, imatrix: bool
) -> tuple[str, ...]:
    """The storage type of each tensor, given by name and shape (row length first).

    `tensors` are all of the file's, in the order the quantizer visits them: those outside blocks,
    then block by block, by name within each.

    Raises:
        FactsError: no such mix, or no way to store a shape.
    """
    rules = mix_named(mix)
    if rules.base in _FLOATS:
        return tuple(_float_type(rules.base, name, shape) for name, shape in tensors)
    split = [_split(name) for name, _ in tensors]
    names = [_read_name(suffix) for _, suffix in split]
    tied = not any(name.category == "output" for name in names)
    values = sum(name.category == "value" for name in names)
    by_block = facts.experts > 1 and not rules.two_bit
    seen: Counter[Category] = Counter()
    types: list[str] = []
    for (block, _), (category, kept), (_, shape) in zip(split, names, tensors, strict=True):
        if kept or dimensions(shape) < 2:
            types.append(UNQUANTIZED)
            continue
        if category == "value":
            place = Place(seen[category], values, facts, imatrix)
        else:
            index = block if by_block else seen[category]
            place = Place(index, facts.blocks, facts, imatrix)
        seen[category] += 1
        if category == "embedding" and tied:
            category = "output"
        types.append(_fitting(_wanted(rules, category, place, shape), shape[0]))
    return tuple(types)


def dimensions(shape: tuple[int, ...]) -> int:
    """Dimensions of a tensor as ggml counts them: trailing ones do not."""
    count = len(shape)
    while count > 1 and shape[count - 1] == 1:
        count -= 1
    return count


def _float_type(base: str, name: str, shape: tuple[int, ...]) -> str:
    kept = _read_name(_split(name)[1]).kept or dimensions(shape) < 2
    return UNQUANTIZED if kept else base


def _wanted(rules: Mix, category: Category, place: Place, shape: tuple[int, ...]) -> str:
    """The type the mix asks for, before the row length is looked at."""
    if category == "output":
        fits = shape[0] % BLOCKS[rules.base].weights == 0
        return rules.output if fits else "Q8_0"
    if rules.flat is not None:
        return rules.base if dimensions(shape) > 2 else rules.flat
    if category == "embedding":
        return rules.embedding or rules.base
    type_name = next(
        (
            case_type
            for conditions, case_type in rules.cases.get(category, ())
            if all(condition(place) for condition in conditions)
        ),
        rules.base,
    )
    bumped = category == "value" and place.facts.is_70b and not rules.two_bit
    return "Q5_K" if bumped and type_name in ("Q3_K", "Q4_K") else type_name


def _fitting(type_name: str, row: int) -> str:
    """`type_name`, or what replaces it where a row is no whole number of its blocks."""
    if row % BLOCKS[type_name].weights == 0:
        return type_name
    fallback = _FALLBACK.get(type_name, type_name)
    return fallback if row % BLOCKS[fallback].weights == 0 else "F16"
