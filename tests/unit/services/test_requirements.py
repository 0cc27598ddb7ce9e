"""The requirements page as a whole: every model, every question, and what is refused."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from typing import get_args

import pytest

from planner.catalog.load import load_catalog
from planner.errors import UnknownName
from planner.report.requirements import render
from planner.report.terminal import plain_text
from planner.services.requirements import requirements
from planner.services.requirements_answers import CONSUMER_GPU
from planner.services.requirements_values import Method, Requirements

MODELS = (
    "deepseek-r1",
    "gemma3-27b",
    "glm-4.5-air",
    "gpt-oss-120b",
    "gpt-oss-20b",
    "kimi-k2",
    "llama-3.1-405b",
    "mixtral-8x22b",
    "qwen3-235b",
    "qwen3-4b",
    "starcoder2-7b",
)
"""One or two of each kind of network."""
METHODS: tuple[Method, ...] = get_args(Method)


@functools.cache
def page_of(model: str, method: Method = "true") -> Requirements:
    return requirements(model, load_catalog(), method)


def answer_to(page: Requirements, words: str) -> str:
    return next(answer.answer for answer in page.answers if words in answer.question)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_every_kind_of_network_has_a_page(model: str, method: Method) -> None:
    page = page_of(model, method)
    text = plain_text(render(page), width=100)
    assert page.model.title in text
    assert page.recommended in text
    assert all(row.quant in text for row in page.quantizations)
    assert len(page.answers) == 6
    for sign in ("None", "nan", " inf", "{", "}"):
        assert sign not in text
    assert max(map(len, text.splitlines())) <= 100
    assert sum(row.recommended for row in page.quantizations) == 1


@pytest.mark.parametrize("model", MODELS)
def test_a_page_survives_json(model: str) -> None:
    page = page_of(model)
    assert Requirements.model_validate_json(page.model_dump_json()) == page
    assert json.loads(page.model_dump_json())["kind"] == "requirements"


def test_the_same_question_has_the_same_bytes() -> None:
    first = requirements("kimi-k2", load_catalog()).model_dump_json()
    assert requirements("moonshotai/Kimi-K2-Instruct", load_catalog()).model_dump_json() == first


@pytest.mark.parametrize("name", ["kimi-k3x", "", "../../etc/passwd", "kimi-k2\n", "x" * 10_000])
def test_an_unknown_model_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnknownName) as caught:
        requirements(name, load_catalog())
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_a_near_name_is_offered() -> None:
    with pytest.raises(UnknownName, match="kimi-k3x") as caught:
        requirements("kimi-k3x", load_catalog())
    assert "'kimi-k2'" in caught.value.hint


@pytest.mark.parametrize("model", MODELS)
def test_files_and_memory_grow_together_and_with_the_context(model: str) -> None:
    rows = page_of(model).quantizations
    files = [row.true.file_bytes for row in rows]
    assert files == sorted(files)
    for row in rows:
        assert row.true.memory_bytes < row.true.full_memory_bytes
        assert 1.5 < row.true.bits_per_weight < 33


@pytest.mark.parametrize("model", MODELS)
def test_quantizations_are_all_there_are_for_the_model(model: str) -> None:
    page = page_of(model)
    mixes = {mix.name for mix in load_catalog().quantizations.values() if mix.kind == "gguf"}
    left = {entry.name for entry in page.left_out} & mixes
    assert {row.quant for row in page.quantizations} | left == mixes
    dense = not any("experts" in mechanism for mechanism in page.model.mechanisms)
    assert left == ({"MXFP4_MOE"} if dense else set())


def test_specifications_of_kimi_k2() -> None:
    model = page_of("kimi-k2").model
    assert model.publisher == "Moonshot AI"
    assert (model.parameters, model.layers) == (1_026_408_232_448, 61)
    assert (model.context, model.vocabulary) == (131_072, 163_840)
    assert "latent attention" in model.mechanisms
    assert "8 of 384 experts a token" in model.mechanisms


def test_one_consumer_card_cannot_run_kimi_k2_and_can_run_gpt_oss_20b() -> None:
    title = load_catalog().gpu(CONSUMER_GPU).title
    refused = answer_to(page_of("kimi-k2"), title)
    assert refused.startswith("No: IQ1_S")
    assert "33.5 GB it has free" in refused
    assert answer_to(page_of("gpt-oss-20b"), title).startswith("Yes: MXFP4_MOE fits")


@pytest.mark.parametrize("model", MODELS)
def test_the_answer_about_one_card_agrees_with_the_machines(model: str) -> None:
    page = page_of(model)
    title = load_catalog().gpu(CONSUMER_GPU).title
    card = next(m for m in page.machines if m.gpu == CONSUMER_GPU and m.devices == 1)
    text = answer_to(page, title)
    if card.largest_quant is None:
        assert text.startswith(("No:", "Only with less"))
    else:
        assert text.startswith("Yes")
        assert (card.verdict == "no") == ("smaller" in text)


@pytest.mark.parametrize("model", MODELS)
def test_the_answer_about_a_mac_agrees_with_the_machines(model: str) -> None:
    page = page_of(model)
    macs = [m for m in page.machines if load_catalog().gpu(m.gpu).vendor == "apple"]
    able = [m for m in macs if m.verdict != "no"]
    text = answer_to(page, "on a Mac")
    assert text.startswith("Yes") == bool(able)
    if able:
        assert ("one Mac" in text) == any(m.count == 1 for m in able)


def test_the_recommended_mix_of_a_model_trained_in_it_is_called_best() -> None:
    assert "trained in it" in answer_to(page_of("gpt-oss-120b"), "best")
    assert "next better" in answer_to(page_of("kimi-k2"), "best")


def test_the_download_is_the_file() -> None:
    text = answer_to(page_of("kimi-k2"), "download")
    assert text.startswith("620.55 GB at Q4_K_M")
    assert text.endswith("published at unsloth/Kimi-K2-Instruct-GGUF.")


def test_the_notes_say_how_far_off_the_public_pages_are() -> None:
    text = " ".join(page_of("kimi-k2").notes)
    assert "24.9 times the true 9.21 GB" in text
    assert "1,748,992 bytes a token" in text
    assert "+17.0 % (Q2_K)" in text
    assert "-11.2 % (Q4_0)" in text
    assert "+62,498,608 off" in text


def test_assumed_memory_is_said() -> None:
    text = " ".join(page_of("kimi-k2").assumptions)
    assert "710 MiB" in text
    assert "650 MiB" in text


def test_a_page_is_made_without_the_constraint_solver() -> None:
    code = (
        "import sys; from planner.catalog.load import load_catalog; "
        "from planner.services.requirements import requirements; "
        "from planner.report.requirements import render; "
        "render(requirements('gpt-oss-20b', load_catalog())); "
        "print(sorted({'ortools', 'pandas', 'networkx'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def cells(text: str, start: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(start))


def test_both_counts_stand_side_by_side() -> None:
    true = plain_text(render(page_of("kimi-k2")))
    nominal = plain_text(render(page_of("kimi-k2", "nominal")))
    figures = ["4.84", "621.1", "630.3", "620.55", "(845.4)"]
    assert cells(true, "Q4_K_M *") == ["Q4_K_M", "*", *figures]
    figures = ["4.80", "619.8", "845.4", "615.88", "(630.3)"]
    assert cells(nominal, "Q4_K_M *") == ["Q4_K_M", "*", *figures]
    assert cells(nominal, "Q5_0") == ["Q5_0", *"----", "(5.51)", "(706.8)", "(716.0)", "(706.36)"]


def test_a_machine_is_shown_once_with_as_few_devices_as_suffice() -> None:
    text = plain_text(render(page_of("kimi-k2")))
    assert cells(text, "8x H200 SXM 141GB")[4] == "fits"
    assert "2x M3 Ultra 512GB in 2" in text
    assert "3x M3 Ultra 512GB" not in text
    assert cells(text, "8x H100 SXM5 80GB")[4:6] == ["0.12", "Q4_K_S"]
    small = plain_text(render(page_of("gpt-oss-20b")))
    assert cells(small, "1x GeForce RTX 4090")[4] == "fits"
    assert "2x GeForce RTX 4090" not in small
