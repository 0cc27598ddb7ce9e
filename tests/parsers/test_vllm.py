"""vLLM 0.32.0's own config builder takes what the planner calls legal, and refuses nothing else.

Skipped where the extra `engines` is not installed. Not seen by it, so on the planner's word alone:
numbers of devices, kernels and what they need of widths and blocks, defaults of GPUs.
"""

from __future__ import annotations

from itertools import product

import pytest

from planner.engines.grid import Grid
from planner.engines.vllm.models import unsupported
from tests.parsers.asking import Said, Verdict, ask, option_rows
from tests.parsers.layouts import Case, cases

pytest.importorskip("vllm")
pytestmark = pytest.mark.engines

LEGAL = cases(
    "vllm",
    """
    kimi-k2: tp16 tp8.pp2 tp8.pp2.layers30-31 tp8.pp2.fp8 tp8.pp4 tp8.dcp8 dp16.ep16 tp8.dp2.ep16
    deepseek-r1: tp8 tp8.pp2 tp8.fp8 dp8.ep8 dp16.ep16 tp8.dp2.ep16.copies32 tp4.dp8.ep32 tp8.dcp4
    qwen3-235b-a22b: tp8 tp4.pp2 tp8.ep8 tp4.dp2.ep8 tp8.dcp2 dp8.ep8 tp8.fp8 tp4.pp8.each4
    qwen3-30b-a3b: tp1 tp2 pp2 tp4.ep4 dp4.ep4 dp4
    llama-3.3-70b: tp2 tp8 tp4.pp2 tp8.fp8 pp2.layers41-39 tp16.dcp2 tp4.pp3.each4 tp4.dp2
    llama-3.1-405b: tp8.pp2 tp16 tp8.pp2.layers62-64
    gpt-oss-120b: tp1 tp2 tp8 tp8.fp8 tp4.ep4
    glm-4.5-air: tp4 tp8 tp4.ep4 tp2.pp2 tp8.pp3
    minimax-m2: tp4 tp8.ep8
    mixtral-8x7b: tp2 tp8.ep8
    mistral-small-24b: tp1 tp2
    gemma-3-27b: tp2 tp8
    qwen2.5-72b: tp8 tp2.pp2
    """,
)
"""Legal by the planner's rules."""

REFUSED = cases(
    "vllm",
    """
    llama-3.3-70b: tp3 tp5 tp8.ep8 tp8.dcp2 tp16.dcp4 tp16.dcp3 pp2.layers38-41 pp2.layers20-20-40
    llama-3.1-405b: tp24.each24 tp8.dp2.ep16
    kimi-k2: tp48 tp8.dcp3 tp8.pp2.layers33-29
    qwen3-235b-a22b: tp3 tp4.dcp2 tp8.dcp4
    gpt-oss-120b: tp6 tp8.dcp2
    glm-4.5-air: tp5
    gemma-3-27b: tp3 tp2.ep2
    mistral-small-24b: tp12.each12 tp2.dp2.ep4
    """,
)
"""Illegal by the planner's rules, for reasons that vLLM's config builder can see."""

UNSEEN = cases(
    "vllm",
    """
    kimi-k2: tp32 tp64
    llama-3.3-70b: pp100.each100
    qwen3-30b-a3b: pp49.each49
    """,
)
"""Illegal by the planner's rules, for reasons of loading that the config builder does not see."""

NETWORKS = cases(
    "vllm",
    """
    deepseek-v3.2: pp2
    dots.llm1: pp2
    glm-4-9b: pp2
    glm-4.7-flash: pp2
    granite-4.0-h-tiny: pp2
    jamba-mini: pp2
    minimax-text-01: pp2
    nemotron-3-nano-30b-a3b: pp2
    olmo-3-7b: pp2
    qwen3-coder-next: pp2
    solar-open-100b: pp2
    """,
)
"""Networks of more kinds, among them some that this version serves no more or by Transformers."""

MODELS = ("deepseek-v2-lite", *dict.fromkeys(case.model for case in LEGAL))
"""Those of the sweep."""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What vLLM says of every case of the tables."""
    return ask((*LEGAL, *REFUSED, *UNSEEN, *NETWORKS), tmp_path_factory.mktemp("vllm"))


def test_enough_layouts_are_asked_about(said):
    print(f"{len(LEGAL)} legal and {len(REFUSED)} refused layouts asked of vLLM")
    assert len(said.verdicts) == len(LEGAL) + len(REFUSED) + len(UNSEEN) + len(NETWORKS)
    assert len(LEGAL) >= 30


@pytest.mark.parametrize("case", LEGAL, ids=str)
def test_what_is_legal_here_vllm_takes_with_the_same_stages(case, said):
    assert case.illegal() == ()
    assert said.verdicts[case] == Verdict("", case.stages)


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_vllm_sees_to_be_wrong_is_refused_by_both(case, said):
    assert case.illegal()
    assert said.verdicts[case].refusal


@pytest.mark.parametrize("case", UNSEEN, ids=str)
def test_what_fails_only_when_loading_is_refused_here_alone(case, said):
    assert case.illegal()
    assert said.verdicts[case].refusal == ""


@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_a_network_is_served_here_where_vllm_serves_it(case, said):
    assert bool(unsupported(case.model_type)) == bool(said.verdicts[case].refusal)


def test_some_network_is_served_no_more(said):
    assert {case.model for case in NETWORKS if said.verdicts[case].refusal} == {"minimax-text-01"}


def test_the_table_of_options_is_the_parsers(said):
    assert said.options == option_rows("vllm")


def grids() -> tuple[Grid, ...]:
    """Degrees that fit together or not, on one machine each."""
    found = []
    for tensor, stages, replicas, contexts, experts in product(
        (1, 2, 3, 4, 8, 12, 16, 32), (1, 2), (1, 2), (1, 2, 3, 4), (False, True)
    ):
        ranks = tensor * replicas
        found.append(
            Grid(
                tensor_parallel=tensor,
                pipeline_parallel=stages,
                data_parallel=replicas,
                expert_parallel=ranks if experts else 1,
                decode_context_parallel=contexts,
            )
        )
    return tuple(dict.fromkeys(found))


def test_vllm_refuses_nothing_that_is_legal_here(tmp_path):
    every = [
        Case(engine="vllm", model=model, grid=grid, per_machine=256)
        for model in MODELS
        for grid in grids()
    ]
    refused = ask(every, tmp_path).refused
    missed = [str(case) for case in refused if not case.illegal()]
    print(f"vLLM refuses {len(refused)} of {len(every)} layouts, all illegal here")
    assert missed == []
    assert len(refused) < len(every)
    assert {case.model for case in refused} == set(MODELS)
