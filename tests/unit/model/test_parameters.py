"""Counting weights: each mechanism by hand, and against the independent list of GGUF tensors."""

from __future__ import annotations

import pytest

from planner.catalog.load import load_catalog
from planner.errors import UnsupportedArchitecture
from planner.model.architecture import (
    Attention,
    FeedForward,
    Indexer,
    Latent,
    Layer,
)
from planner.model.huggingface import architecture_from_config
from planner.model.parameters import active_parameters, by_component, mtp_parameters, parameters
from planner.model.tensors import gguf_tensors
from tests.unit.samples import DENSE, EXPERTS, GROUPED, HIDDEN, VOCABULARY, network

LATENT = Latent(heads=4, query_rank=7, kv_rank=6, nope_dim=3, rope_dim=2, value_dim=5)


def block(attention: Attention = GROUPED, feed_forward: FeedForward = DENSE) -> Layer:
    return Layer(attention=attention, feed_forward=feed_forward)


PLAIN = parameters(network(block()))
WITH_EXPERTS = parameters(network(block(feed_forward=EXPERTS)))
WITH_LATENT = parameters(network(block(LATENT)))


def test_a_plain_network_by_hand() -> None:
    attention = HIDDEN * (12 + 6 + 6) + 12 * HIDDEN
    assert by_component(network(block())) == {
        "embedding": 800,
        "output": 800,
        "norm": 3 * HIDDEN,
        "attention": attention,
        "dense": 3 * HIDDEN * 20,
    }


@pytest.mark.parametrize(
    ("trait", "more"),
    [
        ({"bias": True}, 12 + 6 + 6),
        ({"bias": True, "output_bias": True}, 12 + 6 + 6 + HIDDEN),
        ({"qk_norm": True}, 3 + 3),
        ({"qk_norm": True, "qk_norm_spans_heads": True}, 12 + 6),
        ({"sinks": True}, 4),
        ({"shared_kv": True}, -6 * HIDDEN),
        ({"value_dim": 2}, -(2 + 4) * HIDDEN),
        ({"head_gate": True}, 4 * HIDDEN),
        ({"window": 16}, 0),
        (
            {"indexer": Indexer(heads=2, head_dim=4, on_latent=False)},
            HIDDEN * 8 + HIDDEN * 4 + 4 + 4,
        ),
    ],
)
def test_each_trait_of_grouped_attention(trait: dict[str, object], more: int) -> None:
    attention = GROUPED.model_copy(update=trait)
    assert parameters(network(block(attention))) - PLAIN == more


def test_each_trait_of_latent_attention() -> None:
    by_hand = 8 * 7 + 7 + 7 * 20 + 8 * 8 + 6 + 6 * 4 * 8 + 20 * 8
    attention = HIDDEN * 24 + 12 * HIDDEN
    assert by_hand - attention == WITH_LATENT - PLAIN
    whole_query = LATENT.model_copy(update={"query_rank": None})
    assert parameters(network(block(whole_query))) - WITH_LATENT == 8 * 20 - (8 * 7 + 7 + 7 * 20)
    indexed = LATENT.model_copy(update={"indexer": Indexer(heads=2, head_dim=4)})
    assert parameters(network(block(indexed))) - WITH_LATENT == 7 * 8 + 8 * 4 + 2 * 8 + 4 + 4


@pytest.mark.parametrize(
    ("trait", "more"),
    [
        ({"gated": False}, -HIDDEN * 20),
        ({"bias": True}, 20 + 20 + HIDDEN),
        ({"gated": False, "bias": True}, -HIDDEN * 20 + 20 + HIDDEN),
    ],
)
def test_each_trait_of_a_dense_network(trait: dict[str, object], more: int) -> None:
    dense = DENSE.model_copy(update=trait)
    assert parameters(network(block(feed_forward=dense))) - PLAIN == more


@pytest.mark.parametrize(
    ("trait", "more"),
    [
        ({"shared_intermediate": 5}, 3 * HIDDEN * 5),
        ({"shared_intermediate": 5, "shared_gate": True}, 3 * HIDDEN * 5 + HIDDEN),
        ({"router_bias": True}, 6),
        ({"score_bias": True}, 6),
        ({"expert_bias": True}, 6 * (5 + 5 + HIDDEN)),
        ({"dense_intermediate": 20}, 3 * HIDDEN * 20),
        ({"idle_experts": 3}, 3 * HIDDEN),
        ({"idle_experts": 3, "score_bias": True}, 3 * HIDDEN + 9),
        ({"router_scales": True}, HIDDEN + 6),
    ],
)
def test_each_trait_of_experts(trait: dict[str, object], more: int) -> None:
    experts = EXPERTS.model_copy(update=trait)
    assert parameters(network(block(feed_forward=experts))) - WITH_EXPERTS == more


@pytest.mark.parametrize(
    ("trait", "more"),
    [
        ({"tied": True}, -800),
        ({"post_norms": True}, 2 * HIDDEN),
        ({"parallel": True}, -HIDDEN),
        ({"norm_bias": True}, 3 * HIDDEN),
        ({"output_bias": True}, VOCABULARY),
        ({"layer_scale": True}, 1),
        ({"expert_norms": 3}, 0),
    ],
)
def test_each_trait_of_a_network(trait: dict[str, object], more: int) -> None:
    assert parameters(network(block(), **trait)) - PLAIN == more


def test_extra_norms_come_with_experts() -> None:
    experts = block(feed_forward=EXPERTS)
    assert parameters(network(experts, expert_norms=3)) - WITH_EXPERTS == 3 * HIDDEN


def test_mtp_blocks_are_counted_apart_wherever_they_are_kept() -> None:
    mtp = Layer(attention=GROUPED, feed_forward=DENSE, mtp=True)
    alone = PLAIN - 2 * 800 - HIDDEN + 2 * HIDDEN * HIDDEN + 3 * HIDDEN
    kept, left_out = network(block(), mtp), network(block(), unconverted_mtp=(mtp, mtp))
    assert (parameters(kept), mtp_parameters(kept)) == (PLAIN, alone)
    assert (parameters(left_out), mtp_parameters(left_out)) == (PLAIN, 2 * alone)
    own = kept.model_copy(update={"mtp_own_head": True, "mtp_norms": 2})
    assert mtp_parameters(own) == alone + 800 - HIDDEN


def test_active_parameters_leave_out_idle_experts_and_on_demand_the_embedding() -> None:
    both = network(block(), block(feed_forward=EXPERTS), block(feed_forward=EXPERTS))
    idle = 2 * 4 * 3 * HIDDEN * 5
    assert active_parameters(both) == parameters(both) - idle
    assert active_parameters(both, embedding=False) == parameters(both) - idle - 800


UNLISTED = (
    "deepseek-v3.2",
    "deepseek-v4-flash",
    "deepseek-v4-pro",
    "glm-5",
    "glm-5.1",
    "glm-5.2",
    "glm-5.3",
    "kimi-k3",
    "longcat-flash",
    "minimax-m1",
    "minimax-m3",
    "minimax-text-01",
    "sarvam-105b",
)
"""Models without a list of the tensors of their GGUF files."""


@pytest.mark.parametrize("name", UNLISTED)
def test_a_model_without_a_list_of_gguf_tensors_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedArchitecture):
        gguf_tensors(architecture_from_config(load_catalog().model(name).config))


@pytest.mark.parametrize("name", sorted(set(load_catalog().models) - set(UNLISTED)))
def test_counts_equal_the_sum_over_the_tensors_of_a_file(name: str) -> None:
    architecture = architecture_from_config(load_catalog().model(name).config)
    tensors = gguf_tensors(architecture)
    counts = by_component(architecture)
    for part in {tensor.component for tensor in tensors}:
        assert counts[part] == sum(t.elements for t in tensors if t.component == part), part


def test_a_network_without_a_list_of_gguf_tensors_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedArchitecture, match="of architecture 'rwkv7'"):
        gguf_tensors(network(block(), gguf_name="rwkv7"))


@pytest.mark.parametrize(
    "trait", [{"layer_scale": True}, {"residual_attention": True}, {"residual_streams": 4}]
)
def test_weights_the_gguf_list_does_not_know_are_refused(trait: dict[str, object]) -> None:
    with pytest.raises(UnsupportedArchitecture, match=r"has weights .* that GGUF files"):
        gguf_tensors(network(block(), **trait))


def test_an_indexer_is_refused_where_files_have_none() -> None:
    attention = GROUPED.model_copy(update={"indexer": Indexer(heads=4, head_dim=64)})
    with pytest.raises(UnsupportedArchitecture, match="indexer"):
        gguf_tensors(network(block(attention)))
