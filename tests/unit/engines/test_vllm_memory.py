"""Settings, versions and the KV cache of vLLM."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from planner.catalog import load_catalog
from planner.engines.beside import Beside, beside_of
from planner.engines.fit import Room, judged
from planner.engines.graphs import GRAPHS_PER_LAYER
from planner.engines.pages import KvType, layer_page
from planner.engines.ranges import NOTHING, Range, exactly, gibibytes, least
from planner.engines.sharding import Rank
from planner.engines.vllm.kv import CachePlan, cache_plan
from planner.engines.vllm.layout import Parallel
from planner.engines.vllm.memory import layout_memory
from planner.engines.vllm.settings import Device, Settings, device_of, limits
from planner.engines.vllm.versions import VERSIONS, outside_allocator, rules_of
from planner.errors import EngineError, UnsupportedArchitecture
from planner.model.architecture import Compressed, Grouped, Indexer, Mixer
from planner.model.recurrent import GatedDelta
from planner.units import GIB
from tests.unit.engines.small_networks import BF16, FULL, LATENT, network

WINDOW = Grouped(heads=16, kv_heads=8, head_dim=128, window=1024)
SPARSE = LATENT.model_copy(update={"indexer": Indexer(heads=8, head_dim=128), "top_k": 2048})
DELTA = GatedDelta(key_heads=16, value_heads=48, key_dim=128, value_dim=128, kernel=4)


def plan(*mixers: Mixer, tensor: int = 1, context_parallel: int = 1) -> CachePlan:
    return cache_plan(
        network(*mixers),
        tensor_parallel=tensor,
        kv_type="auto",
        in_flight=8192,
        context_parallel=context_parallel,
    )


@pytest.mark.parametrize(
    ("version", "since"),
    [
        ("0.10.1", "0.10.0"),
        ("0.16.0", "0.14.0"),
        ("0.19.0", "0.18.0"),
        ("v0.32", "0.21.0"),
        ("0.26.1rc1.dev608", "0.21.0"),
    ],
)
def test_a_version_has_the_rules_of_the_last_row_before_it(version: str, since: str) -> None:
    assert rules_of(version).since == since


@pytest.mark.parametrize("version", ["latest", "", "0.9.2"])
def test_unknown_versions_are_refused(version: str) -> None:
    with pytest.raises(EngineError):
        rules_of(version)


def test_rows_are_in_order_and_communicators_grow() -> None:
    assert [rules_of(rules.since) for rules in VERSIONS] == list(VERSIONS)
    for rules in VERSIONS:
        sizes = [outside_allocator(rules, ranks).best for ranks in (1, 2, 4, 8)]
        assert sizes == sorted(sizes)
        assert outside_allocator(rules, 8, spans_nodes=True).high > rules.many.high


@pytest.mark.parametrize(
    ("memory", "small", "tokens", "sequences"),
    [
        (24, False, 2048, 256),
        (79, False, 8192, 1024),
        (79, True, 2048, 256),
        (180, False, 16384, 1024),
    ],
)
def test_default_limits_follow_the_device(
    memory: int, small: bool, tokens: int, sequences: int
) -> None:
    device = Device(memory=memory * GIB, small_batches=small)
    found = limits(Settings(context_length=4096), device)
    assert (found.batched_tokens, found.sequences) == (tokens, sequences)
    assert found.utilization == 0.92
    old = limits(Settings(context_length=4096, version="0.19.0"), device)
    assert old.utilization == 0.9
    assert old.batched_tokens == min(tokens, 8192)


def test_a_step_has_no_more_sequences_than_tokens() -> None:
    settings = Settings(context_length=4096, max_num_batched_tokens=512)
    assert limits(settings, Device(memory=80 * GIB)).sequences == 512


@pytest.mark.parametrize(
    ("mixer", "kv_type", "ranks", "expected"),
    [
        (FULL, "auto", 1, 2 * 8 * 128 * 2),
        (FULL, "auto", 4, 2 * 2 * 128 * 2),
        (FULL, "auto", 32, 2 * 128 * 2),
        (FULL, "fp8", 8, 2 * 128),
        (LATENT, "auto", 8, 1152),
        (LATENT, "fp8", 8, 576),
        (SPARSE, "auto", 8, 1152 + 132),
        (SPARSE, "fp8", 8, 656 + 132),
        (SPARSE, "nvfp4_ds_mla", 8, 352 + 132),
    ],
)
def test_bytes_of_a_token(mixer: Mixer, kv_type: KvType, ranks: int, expected: int) -> None:
    page = layer_page(mixer, ranks, kv_type)
    assert page is not None
    assert page.token_bytes == expected


def test_compressed_attention_is_refused() -> None:
    compressed = Compressed(
        heads=16, head_dim=128, query_rank=64, output_groups=2, output_rank=32, window=128
    )
    with pytest.raises(UnsupportedArchitecture, match="pages of compressed attention"):
        plan(compressed)


def test_layers_alike_are_one_group() -> None:
    cache = plan(FULL, FULL)
    assert [group.layers for group in cache.groups] == [(0, 1)]
    assert cache.block_bytes([0, 1]) == 2 * 16 * 4096
    assert cache.block_bytes([1]) == 16 * 4096
    assert cache.blocks_per_sequence(17) == 2
    assert cache.tokens(10, 32) == 160


def test_windows_and_full_layers_share_blocks_in_groups_of_equal_size() -> None:
    cache = plan(*[WINDOW, WINDOW, WINDOW, WINDOW, WINDOW, FULL] * 2)
    assert sorted(len(group.layers) for group in cache.groups) == [2] * 6
    assert cache.block_bytes(range(12)) == 2 * 16 * 4096
    window = -(-(1023 + 8192) // 16) + 1
    assert cache.blocks_per_sequence(65_536) == 4096 + 5 * window
    assert cache.blocks_per_sequence(16) == 1 + 5 * 2


def test_nearly_equal_counts_are_padded_to_the_larger() -> None:
    cache = plan(*[WINDOW] * 12, *[FULL] * 13)
    assert [len(group.layers) for group in cache.groups] == [12, 13]


def test_a_state_takes_a_block_as_large_as_itself() -> None:
    cache = plan(DELTA, DELTA, DELTA, Grouped(heads=24, kv_heads=4, head_dim=256))
    state = 3 * (2 * 16 * 128 + 48 * 128) * 2 + 48 * 128 * 128 * 4
    block = -(-state // (16 * 4096)) * 16
    assert {group.block for group in cache.groups} == {block}
    assert cache.block_bytes(range(4)) == block * 4096
    assert cache.blocks_per_sequence(block + 1) == 3 + 2


def test_context_parallelism_divides_the_tokens_of_a_rank() -> None:
    one, four = plan(LATENT, tensor=4), plan(LATENT, tensor=4, context_parallel=4)
    assert one.blocks_per_sequence(4096) == 4 * four.blocks_per_sequence(4096)
    assert four.tokens(8, 4096) == 4 * one.tokens(8, 4096)


def test_older_versions_count_blocks_of_one_group() -> None:
    cache = replace(plan(FULL, WINDOW), counting="blocks")
    assert cache.tokens(101, 4096) == 50 * 16


@pytest.mark.parametrize("blocks", [0, 1, 3, 700, 5000])
def test_the_longest_sequence_is_the_longest(blocks: int) -> None:
    cache = plan(FULL, WINDOW)
    longest = cache.longest(blocks, 100_000)
    assert cache.blocks_per_sequence(longest) <= blocks or longest == 0
    assert longest == 100_000 or cache.blocks_per_sequence(longest + 1) > blocks


def test_parts_of_a_rank_sum_up() -> None:
    device = Device(memory=24 * GIB)
    settings = Settings(context_length=4096)
    memory = layout_memory(network(*[FULL] * 4), BF16, Parallel(), settings, device)
    (rank,) = memory.ranks
    weights = sum(size for _, size in rank.weights)
    assert rank.loaded.best == weights + rank.tables + rank.tower + rank.rests
    assert rank.tables == 8192 * 128 * 2
    taken = rank.loaded.best + rank.activation.best + rank.outside.best + rank.graphs.best
    assert rank.pool.best == rank.budget - taken
    assert memory.blocks.best == rank.pool.best // (4 * 16 * 4096)
    assert memory.tokens.best == memory.blocks.best * 4096 // 256
    assert memory.sequences()[1] == memory.blocks.best / 256


def test_graphs_count_from_021_on_and_not_without_them() -> None:
    def counted(version: str, *, eager: bool = False) -> int:
        settings = Settings(context_length=4096, version=version, eager=eager)
        found = layout_memory(network(FULL), BF16, Parallel(), settings, Device(memory=24 * GIB))
        return found.ranks[0].counted_graphs.best

    assert counted("0.20.2") == counted("0.32.0", eager=True) == 0
    assert counted("0.21.0") > 0


def test_graphs_that_are_not_counted_must_fit_beside_the_budget() -> None:
    """0.20 leaves a hundredth of 24 GiB: 246 MiB, less than the graphs of 32 layers may take."""

    def verdict(version: str, utilization: float, *, eager: bool = False) -> tuple[str, int]:
        settings = Settings(
            context_length=4096, version=version, utilization=utilization, eager=eager
        )
        found = layout_memory(
            network(*[FULL] * 32), BF16, Parallel(), settings, Device(memory=24 * GIB)
        )
        fit = found.fits(4096)
        return fit.verdict, fit.headroom

    wide, narrow = verdict("0.20.0", 0.9), verdict("0.20.0", 0.99)
    assert wide[0] == "fits"
    assert narrow[0] != "fits"
    high = GRAPHS_PER_LAYER.high * 32
    spare = 24 * GIB - math.ceil(24 * GIB * 0.99)
    eager = verdict("0.20.0", 0.99, eager=True)
    assert eager[0] == "fits"
    assert eager[1] > 0
    assert narrow[1] == spare - high < 0
    assert verdict("0.21.0", 0.99)[0] == "fits"


def test_longer_contexts_and_more_sequences_never_fit_better() -> None:
    settings = Settings(context_length=262_144)
    memory = layout_memory(
        network(*[FULL] * 32), BF16, Parallel(), settings, Device(memory=24 * GIB)
    )
    rooms = [memory.fits(context).headroom for context in (1024, 65_536, 262_144)]
    assert rooms == sorted(rooms, reverse=True)
    assert memory.fits(4096, 64).headroom < memory.fits(4096, 1).headroom
    assert memory.fits(1024).verdict == "fits"
    assert memory.fits(262_144).verdict == "refused"
    assert 0 < memory.fits(262_144).longest.low < 262_144


def test_a_vision_tower_is_loaded_and_profiled_on_the_first_stage() -> None:
    settings, device = Settings(context_length=4096), Device(memory=80 * GIB)
    beside = Beside(tower=GIB)
    parallel = Parallel(tensor_parallel=2, pipeline_parallel=2)
    first, last = layout_memory(
        network(*[FULL] * 2), BF16, parallel, settings, device, beside
    ).ranks
    assert (first.tower, last.tower) == (GIB // 2, 0)
    whole = replace(settings, replicated_encoder=True)
    held = layout_memory(network(*[FULL] * 2), BF16, parallel, whole, device, beside)
    assert held.ranks[0].tower == GIB
    plain = layout_memory(network(*[FULL] * 2), BF16, parallel, settings, device)
    more = first.activation.best - plain.ranks[0].activation.best
    assert more == 8192 * (4 * 588 * 6 + 2048 * 2)


@pytest.mark.parametrize(
    ("left", "verdict"),
    [
        (Range(10, 20, 30), "fits"),
        (Range(0, 2, 30), "fits"),
        (Range(0, 1, 30), "tight"),
        (Range(-1, 20, 30), "tight"),
        (Range(-9, -3, -1), "refused"),
    ],
)
def test_verdicts(left: Range, verdict: str) -> None:
    rank = Rank(stage=0, layers=(), first=True, last=True, experts=0, ranks=1)
    other = Room(replace(rank, stage=1), Range(50, 60, 70), 100)
    found = judged([other, Room(rank, left, 100)], exactly(0))
    assert (found.verdict, found.tightest, found.headroom) == (verdict, rank, left.low)


def test_ranges_add_up() -> None:
    assert Range(1, 2, 3) + exactly(10) == Range(11, 12, 13)
    assert Range(1, 2, 3).scaled(2) == Range(2, 4, 6)
    assert Range(10, 20, 30) - Range(1, 2, 3) == Range(7, 18, 29)
    assert least([Range(1, 5, 9), Range(2, 4, 10)]) == Range(1, 4, 9)
    assert least([]) == NOTHING
    assert gibibytes(0.5, 1, 2) == Range(GIB // 2, GIB, 2 * GIB)


def test_what_a_config_says_beside_the_text() -> None:
    assert beside_of({"model_type": "llama"}) == Beside()
    scaled = {"model_type": "llama", "rope_scaling": {"rope_type": "linear", "factor": 8.0}}
    assert beside_of(scaled).rope_factor == 8
    yarn = {"model_type": "llama", "rope_scaling": {"rope_type": "yarn", "factor": 8.0}}
    assert beside_of(yarn).rope_factor == 1


def test_images_of_gemma_3_have_a_fixed_size() -> None:
    config = {
        "model_type": "gemma3",
        "mm_tokens_per_image": 256,
        "text_config": {"hidden_size": 5376, "rope_scaling": {"rope_type": "linear", "factor": 8}},
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": 1152,
            "image_size": 896,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "patch_size": 14,
            "vision_use_head": False,
        },
    }
    found = beside_of(config)
    assert found.tower == 2 * 423_060_336
    assert found.pixel_bytes_per_token == 16 * 588 * 2
    assert (found.tokens_per_image, found.rope_factor) == (256, 8)


def test_a_catalog_gpu_becomes_a_device() -> None:
    gpus = load_catalog().gpus
    found = device_of(gpus["a100-sxm-80"], 79 * GIB)
    assert found == Device(memory=79 * GIB, processors=108, small_batches=True)
    assert not device_of(gpus["h100-sxm-80"], 79 * GIB).small_batches


def test_a_rank_with_next_to_nothing_holds_no_less() -> None:
    parallel = Parallel(pipeline_parallel=4)
    settings = Settings(context_length=4096)
    small = network(*[FULL] * 4).model_copy(update={"hidden": 128})
    found = layout_memory(small, BF16, parallel, settings, Device(memory=24 * GIB))
    assert [rank.loaded.low for rank in found.ranks] == [0, 0, 0, 0]
