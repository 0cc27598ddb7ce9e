"""SGLang 0.5.23's own argument checks take what the planner calls legal, and refuse nothing else.

Skipped where `sglang` is not installed beside the extra `engines`. Not seen by them, so on the
planner's word alone: heads, widths and blocks that do not divide, and numbers of devices. Without
a GPU SGLang does not know MXFP4, so gpt-oss is not asked about.
"""

from __future__ import annotations

import importlib.util
from itertools import product

import pytest

from planner.engines.grid import Grid
from tests.parsers.asking import Said, Verdict, ask, option_rows
from tests.parsers.layouts import Case, cases

if importlib.util.find_spec("sglang") is None:
    pytest.skip("sglang is not installed", allow_module_level=True)
pytest.importorskip("vllm")
pytestmark = pytest.mark.engines

LEGAL = cases(
    "sglang",
    """
    kimi-k2: tp16 tp16.dp16 tp16.ep16 tp16.dp2.ep16 tp8.pp2
    deepseek-r1: tp8 tp8.dp8 tp8.ep8 tp16.dp8.ep16.copies32 tp8.pp2 tp8.dp8.fp8
    qwen3-235b-a22b: tp8 tp4.ep4 tp8.dp2.ep8 tp4.pp2
    qwen3-30b-a3b: tp1 tp2 tp4.ep4 pp2
    llama-3.3-70b: tp4 tp8 tp4.pp2 pp2.layers41-39 tp8.fp8
    llama-3.1-405b: tp16 tp8.pp2
    glm-4.5-air: tp4 tp8.ep8
    mistral-small-24b: tp2
    gemma-3-27b: tp2
    """,
)
"""Legal by the planner's rules."""

REFUSED = cases(
    "sglang",
    """
    kimi-k2: tp16.dp3
    deepseek-r1: tp8.dp3 tp8.dp16
    llama-3.3-70b: pp2.layers38-41 pp2.layers20-20-40
    """,
)
"""Illegal by the planner's rules, for reasons that SGLang's argument checks can see."""

UNSEEN = cases(
    "sglang",
    """
    llama-3.3-70b: tp3.each3 tp8.ep8
    kimi-k2: tp32
    """,
)
"""Illegal by the planner's rules, for reasons of loading that the checks do not see."""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What SGLang says of every case of the tables."""
    return ask((*LEGAL, *REFUSED, *UNSEEN), tmp_path_factory.mktemp("sglang"))


def test_enough_layouts_are_asked_about(said):
    print(f"{len(LEGAL)} legal and {len(REFUSED)} refused layouts asked of SGLang")
    assert len(said.verdicts) == len(LEGAL) + len(REFUSED) + len(UNSEEN)
    assert len(LEGAL) >= 15


@pytest.mark.parametrize("case", LEGAL, ids=str)
def test_what_is_legal_here_sglang_takes_with_the_same_stages(case, said):
    assert case.illegal() == ()
    assert said.verdicts[case] == Verdict("", case.stages)


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_sglang_sees_to_be_wrong_is_refused_by_both(case, said):
    assert case.illegal()
    assert said.verdicts[case].refusal


@pytest.mark.parametrize("case", UNSEEN, ids=str)
def test_what_fails_only_when_loading_is_refused_here_alone(case, said):
    assert case.illegal()
    assert said.verdicts[case].refusal == ""


def test_the_table_of_options_is_the_parsers(said):
    assert said.options == option_rows("sglang")


def test_sglang_refuses_nothing_that_is_legal_here(tmp_path):
    degrees = product((1, 2, 3, 8, 16), (1, 2), (1, 2, 3, 4), (1, 2, 8))
    grids = [
        Grid(
            tensor_parallel=tensor,
            pipeline_parallel=stages,
            data_parallel=replicas,
            expert_parallel=experts,
        )
        for tensor, stages, replicas, experts in degrees
    ]
    every = [
        Case(engine="sglang", model=model, grid=grid, per_machine=256)
        for model in ("deepseek-r1", "qwen3-235b-a22b", "llama-3.3-70b")
        for grid in grids
    ]
    refused = ask(every, tmp_path).refused
    missed = [str(case) for case in refused if not case.illegal()]
    print(f"SGLang refuses {len(refused)} of {len(every)} layouts, all illegal here")
    assert missed == []
    assert 0 < len(refused) < len(every)
