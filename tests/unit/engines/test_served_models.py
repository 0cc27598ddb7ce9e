"""Networks engines do not serve, cannot pipeline, or would keep an 8-bit cache of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner.accounting import siting
from planner.accounting.siting import Site
from planner.catalog import load_catalog
from planner.engines.cache_rules import told_cache_type
from planner.engines.grid import Grid, Options, Place
from planner.engines.pages import KvType
from planner.errors import EngineError
from planner.model.architecture import Architecture
from planner.served import Asked, Served, served
from tests.unit.engines.small_networks import BF16, FULL, LATENT, network

CATALOG = load_catalog()
DEFAULTS = {"vllm": "0.32.0", "sglang": "0.5.23"}
EIGHT = Place(family="cuda", capability=(9, 0), gpus_per_machine=8, gpus=8)
TWO_STAGES = Grid(tensor_parallel=4, pipeline_parallel=2)


def asked(engine: str, version: str | None = None, kv_type: KvType = "auto") -> Asked:
    options = Options(context=4096, version=version or DEFAULTS[engine], kv_type=kv_type)
    return Asked(engine=engine, options=options, concurrency=1, depth=4096)


def of(name: str, quant: str, engine: str, version: str | None = None) -> Served:
    return served(CATALOG, name, quant, asked(engine, version))


@pytest.mark.parametrize(
    ("name", "engine", "version", "reason", "hint"),
    [
        ("jamba-mini", "sglang", None, "SGLang 0.5.23 does not serve networks of type 'jamba'", ""),
        ("minimax-m1", "vllm", None, "0.23.0 was the last to", "--engine-build"),
        ("kimi-k2.6", "vllm", None, "", ""),
        ("minimax-m1", "vllm", "0.23.0", "", ""),
        ("qwen3-next-80b-a3b", "vllm", "0.10.0", "0.10.2 does", "--engine sglang"),
    ],
)
def test_a_network_that_is_not_served_is_refused(
    name: str, engine: str, version: str | None, reason: str, hint: str
) -> None:
    own = CATALOG.model(name)
    quant = {"kimi-k2.6": "INT4-W4A16-g32"}.get(own.name, "BF16")
    if not reason:
        assert of(name, quant, engine, version).row is own
        return
    with pytest.raises(EngineError, match=reason) as caught:
        of(name, quant, engine, version)
    assert hint in caught.value.hint


def test_networks_that_cannot_be_pipelined_are_on_one_stage() -> None:
    whole = of("qwen3-next-80b-a3b", "BF16", "sglang")
    (reason,) = whole.illegal(TWO_STAGES, EIGHT)
    assert reason == "networks of type 'qwen3_next' have no pipeline stages in SGLang 0.5.23"
    assert whole.illegal(replace(TWO_STAGES, pipeline_parallel=1), EIGHT) == ()
    assert {grid.pipeline_parallel for grid in whole.grids(EIGHT)} == {1}
    split = of("qwen3-next-80b-a3b", "BF16", "vllm")
    assert {grid.pipeline_parallel for grid in split.grids(EIGHT)} == {1, 2, 4, 8}
    assert split.illegal(Grid(tensor_parallel=2, pipeline_parallel=4), EIGHT) == ()


def test_what_transformers_serves_is_said() -> None:
    assert any("Transformers" in line for line in of("seed-oss-36b", "BF16", "vllm").assumptions)
    assert not any(
        "Transformers" in line for line in of("llama-3.3-70b", "BF16", "vllm").assumptions
    )


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_a_format_that_cannot_hold_a_matrix_is_refused(engine: str) -> None:
    with pytest.raises(EngineError, match=r"gpt-oss-120b cannot be stored in AWQ: .* 2880") as why:
        of("gpt-oss-120b", "AWQ", engine)
    assert why.value.hint


SPARSE = network(LATENT.model_copy(update={"top_k": 2048}))


@pytest.mark.parametrize(
    ("engine", "version", "kv_type", "architecture", "scales", "told"),
    [
        ("vllm", "0.32.0", "auto", network(FULL), False, "auto"),
        ("vllm", "0.32.0", "auto", network(FULL), True, "bfloat16"),
        ("vllm", "0.11.0", "auto", network(FULL), True, "bfloat16"),
        ("vllm", "0.10.2", "auto", network(FULL), True, "auto"),
        ("vllm", "0.32.0", "fp8", network(FULL), True, "fp8"),
        ("vllm", "0.32.0", "auto", SPARSE, False, "bfloat16"),
        ("sglang", "0.5.23", "auto", network(LATENT), False, "auto"),
        ("sglang", "0.5.23", "auto", SPARSE, False, "bfloat16"),
        ("sglang", "0.5.23", "auto", network(LATENT), True, "bfloat16"),
    ],
)
def test_engines_are_told_to_keep_sixteen_bits_where_they_would_not(
    engine: str,
    version: str,
    kv_type: KvType,
    architecture: Architecture,
    scales: bool,
    told: KvType,
) -> None:
    scheme = replace(BF16, kv_scales=scales)
    options = Options(context=4096, version=version, kv_type=kv_type)
    assert told_cache_type(engine, "llama", architecture, scheme, options) == told


def test_a_network_kept_in_eight_bits_by_default() -> None:
    options = Options(context=4096, version="0.5.23")
    muse = told_cache_type("sglang", "muse_glimmer_text", network(FULL), BF16, options)
    assert muse == "bfloat16"
    assert told_cache_type("vllm", "muse_glimmer_text", network(FULL), BF16, options) == "auto"


def test_what_an_engine_is_told_is_an_assumption() -> None:
    sparse = of("deepseek-v3.2", "FP8", "vllm")
    assert sparse.cache_type == "bfloat16"
    assert any("KV cache in bfloat16" in line for line in sparse.assumptions)
    plain = of("deepseek-v3", "FP8", "vllm")
    assert plain.cache_type == "auto"


def test_publishers_disagree_about_attention_in_nvfp4() -> None:
    def said(name: str) -> bool:
        return any("keep attention" in line for line in of(name, "NVFP4", "vllm").assumptions)

    assert said("llama-3.3-70b")
    assert not said("kimi-k2.6")


@pytest.mark.parametrize(
    ("engine", "replicas", "usual", "more"), [("vllm", 2, 1024, 1500), ("sglang", 4, 512, 3000)]
)
def test_a_step_takes_all_requests_that_are_asked_for(
    engine: str, replicas: int, usual: int, more: int
) -> None:
    """Limits are of each replica in vLLM, of all together in SGLang."""
    node = CATALOG.node("hgx-h100-8")
    site = Site(nodes=((node, 1),), used=8, network=None)
    grid = Grid(
        tensor_parallel=8 if engine == "sglang" else 4, data_parallel=replicas, expert_parallel=8
    )

    def limit(concurrency: int) -> int:
        many = replace(asked(engine), concurrency=concurrency)
        whole = served(CATALOG, "qwen3-30b-a3b", "BF16", many)
        stages = siting.stages_of(whole, CATALOG, site, grid)
        assert stages is not None
        return whole.memory(grid, stages, EIGHT).limits.max_num_seqs

    assert limit(8) == usual
    assert limit(3000) == more
