"""The quantizer's rules, one by one; the whole of them is in tests/reality/test_gguf.py."""

from __future__ import annotations

import pytest

from planner.errors import FactsError
from planner.quantization.gguf_mixes import MIXES, MixFacts, choose_types
from planner.quantization.gguf_types import BLOCKS

DENSE = MixFacts(blocks=16, query_groups=8)
Listing = list[tuple[str, tuple[int, ...]]]


def types(
    mix: str, tensors: Listing, facts: MixFacts = DENSE, *, imatrix: bool = False
) -> list[str]:
    return list(choose_types(mix, tensors, facts, imatrix))


def per_block(name: str, count: int = 16, width: int = 512) -> Listing:
    return [(f"blk.{i}.{name}", (width, width)) for i in range(count)]


def test_more_bits_are_the_first_and_last_eighth_and_every_third_between() -> None:
    chosen = types("Q4_K_M", per_block("ffn_down.weight"))
    six = [i for i, name in enumerate(chosen) if name == "Q6_K"]
    assert six == [0, 1, 4, 7, 10, 13, 14, 15]
    assert set(chosen) == {"Q4_K", "Q6_K"}


def test_biases_do_not_count_among_the_values() -> None:
    weights = per_block("attn_v.weight")
    biases: Listing = [(f"blk.{i}.attn_v.bias", (512,)) for i in range(16)]
    both = [tensor for pair in zip(biases, weights, strict=True) for tensor in pair]
    assert types("Q4_K_M", both)[1::2] == types("Q4_K_M", weights)
    assert set(types("Q4_K_M", both)[::2]) == {"F32"}


@pytest.mark.parametrize(
    "tensor",
    [
        ("output_norm.weight", (4096,)),
        ("blk.0.attn_q_norm.weight", (128, 32)),
        ("blk.0.ffn_gate_inp.weight", (4096, 128)),
        ("blk.0.ffn_gate_exps.bias", (2880, 32)),
        ("blk.0.exp_probs_b.bias", (256,)),
        ("blk.0.attn_sinks.weight", (64,)),
        ("blk.0.ffn_gate_inp_shexp.weight", (4096, 1)),
    ],
)
@pytest.mark.parametrize("mix", ["Q4_K_M", "F16", "MXFP4_MOE", "IQ1_S"])
def test_vectors_norms_routers_and_biases_stay_32_bit(
    mix: str, tensor: tuple[str, tuple[int, ...]]
) -> None:
    assert types(mix, [tensor]) == ["F32"]


def test_a_tied_embedding_is_stored_as_the_output_would_be() -> None:
    embedding: Listing = [("token_embd.weight", (4096, 1000))]
    output: Listing = [("output.weight", (4096, 1000))]
    assert types("Q4_K_M", embedding) == ["Q6_K"]
    assert types("Q4_K_M", output + embedding) == ["Q6_K", "Q4_K"]
    assert types("IQ2_XXS", output + embedding) == ["Q5_K", "Q2_K"]


def test_an_output_whose_rows_do_not_fit_is_eight_bit() -> None:
    assert types("Q4_K_M", [("output.weight", (2880, 1000))]) == ["Q8_0"]
    assert types("Q4_0", [("output.weight", (2880, 1000))]) == ["Q8_0"]


@pytest.mark.parametrize(
    ("mix", "row", "expected"),
    [
        ("Q4_K_S", 128, "Q5_0"),
        ("Q5_K_S", 128, "Q5_1"),
        ("Q6_K", 128, "Q8_0"),
        ("Q3_K_S", 128, "Q4_0"),
        ("IQ4_XS", 128, "IQ4_NL"),
        ("Q4_0", 128, "Q4_0"),
        ("Q4_0", 40, "F16"),
        ("Q4_K_S", 40, "F16"),
    ],
)
def test_rows_that_do_not_divide_fall_back(mix: str, row: int, expected: str) -> None:
    assert types(mix, [("blk.0.attn_k_b.weight", (row, 512, 64))]) == [expected]


def test_mxfp4_takes_stacked_tensors_only() -> None:
    tensors: Listing = [
        ("blk.0.ffn_up_exps.weight", (2880, 2880, 32)),
        ("blk.0.attn_q.weight", (2880, 4096)),
        ("blk.0.attn_v_b.weight", (512, 128, 64)),
        ("output.weight", (2880, 1000)),
    ]
    assert types("MXFP4_MOE", tensors) == ["MXFP4", "Q8_0", "MXFP4", "Q8_0"]


def test_experts_are_counted_by_block_and_a_dense_network_one_by_one() -> None:
    """A shared and a routed down projection of one block get the same type above two bits."""
    facts = MixFacts(blocks=16, query_groups=8, experts=64)
    listing = [
        (f"blk.{i}.ffn_down_{kind}.weight", (512, 512))
        for i in range(16)
        for kind in ("exps", "shexp")
    ]
    chosen = types("Q4_K_S", listing, facts)
    assert [i for i, name in enumerate(chosen) if name == "Q5_K"] == [0, 1, 2, 3]
    low = types("IQ2_XXS", listing, facts)
    assert [i for i, name in enumerate(low) if name == "Q2_K"] == [0, 1]


def test_a_70b_gets_more_for_its_values() -> None:
    values = per_block("attn_v.weight")
    plain, large = DENSE, DENSE._replace(is_70b=True)
    assert set(types("Q3_K_S", values, plain)) == {"Q3_K"}
    assert set(types("Q3_K_S", values, large)) == {"Q5_K"}
    assert set(types("Q4_K_M", values, large)) == {"Q5_K", "Q6_K"}
    assert set(types("IQ2_M", values, large)) == {"Q4_K"}


@pytest.mark.parametrize("mix", ["IQ4_XS", "IQ4_NL", "IQ3_XXS", "Q4_0", "Q5_0"])
def test_an_importance_matrix_changes_five_mixes(mix: str) -> None:
    down = per_block("ffn_down.weight")
    assert types(mix, down, imatrix=True) != types(mix, down)


@pytest.mark.parametrize(
    "mix", sorted(set(MIXES) - {"IQ4_XS", "IQ4_NL", "IQ3_XXS", "Q4_0", "Q5_0"})
)
def test_an_importance_matrix_changes_no_other(mix: str) -> None:
    tensors = per_block("ffn_down.weight") + per_block("attn_v.weight")
    assert types(mix, tensors, imatrix=True) == types(mix, tensors)


@pytest.mark.parametrize("mix", list(MIXES))
def test_every_mix_names_known_storage_types(mix: str) -> None:
    rules = MIXES[mix]
    named = {name for cases in rules.cases.values() for _, name in cases}
    assert named | {rules.base, rules.output} <= set(BLOCKS)


def test_an_unknown_mix_is_refused_with_a_near_name() -> None:
    with pytest.raises(FactsError, match="no per-tensor rules for GGUF mix 'Q4KM'") as error:
        types("Q4KM", [])
    assert "Q4_K_M" in error.value.hint


@pytest.mark.parametrize(
    ("groups", "experts", "expected"),
    [(1, 0, "IQ3_S"), (3, 3, "IQ3_S"), (4, 0, "Q4_K"), (1, 4, "Q4_K")],
)
def test_few_kv_heads_or_many_experts_spare_the_values_of_two_bit_mixes(
    groups: int, experts: int, expected: str
) -> None:
    facts = MixFacts(blocks=16, query_groups=groups, experts=experts)
    assert set(types("IQ2_M", per_block("attn_v.weight"), facts)) == {expected}
