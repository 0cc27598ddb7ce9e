"""Models of nobody's catalog, from a config.json alone: a plan, checked, and exact facts.

The networks are invented; each is of a kind people bring. Totals are added up here by hand, from
the figures of the config.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from planner.catalog import load_catalog
from planner.model.source import with_model
from planner.services.facts import facts
from tests.acceptance.command_line import plan

CONFIGS = Path(__file__).parent / "configs"


def _attention(hidden: int, heads: int, kv_heads: int, head_dim: int) -> int:
    return 2 * hidden * heads * head_dim + 2 * hidden * kv_heads * head_dim


def _gated(hidden: int, width: int) -> int:
    return 3 * hidden * width


LATENT = (
    6144 * 1536
    + 1536
    + 1536 * 96 * 192  # queries
    + 6144 * 576
    + 512
    + 512 * 96 * 256  # keys and values
    + 96 * 128 * 6144  # output
)

TOTALS = {
    "dense-13b": 2 * 128000 * 5120
    + 5120
    + 44 * (_attention(5120, 40, 8, 128) + _gated(5120, 14336) + 2 * 5120),
    "grouped-experts-90b": 2 * 65536 * 4096
    + 4096
    + 40 * (_attention(4096, 32, 8, 128) + 16 * (_gated(4096, 10240) + 4096) + 2 * 4096),
    "latent-experts-400b": 2 * 150000 * 6144
    + 6144
    + 52 * (LATENT + 2 * 6144)
    + 2 * _gated(6144, 16384)
    + 50 * (201 * _gated(6144, 2048) + 200 * 6144 + 200),
    "sliding-window-9b": 200000 * 3584
    + 3584
    + 42 * (_attention(3584, 16, 8, 256) + 2 * 256 + _gated(3584, 14336) + 4 * 3584),
    "tied-2b": 100096 * 2048
    + 2048
    + 26 * (_attention(2048, 16, 4, 128) + 2 * 128 + _gated(2048, 7168) + 2 * 2048),
    "unknown-type-7b": 2 * 96000 * 4096
    + 4096
    + 32 * (_attention(4096, 32, 8, 128) + _gated(4096, 11008) + 2 * 4096),
    "nested-text-24b": 2 * 131072 * 5120
    + 5120
    + 42 * (_attention(5120, 32, 8, 128) + _gated(5120, 30720) + 2 * 5120),
    "biased-32b": 2 * 140032 * 5120
    + 5120
    + 60 * (_attention(5120, 40, 8, 128) + 7168 + _gated(5120, 27648) + 2 * 5120),
    "shared-experts-60b": 2 * 151936 * 3584
    + 3584
    + 30 * (_attention(3584, 28, 4, 128) + 4608 + 2 * 3584)
    + 30 * (60 * (_gated(3584, 2560) + 3584) + _gated(3584, 16384) + 3584),
    "dense-first-experts-100b": 2 * 151552 * 4096
    + 4096
    + 44 * (_attention(4096, 64, 8, 128) + 10240 + 2 * 128 + 2 * 4096)
    + 2 * _gated(4096, 12288)
    + 42 * (129 * _gated(4096, 1536) + 128 * 4096 + 128),
}
"""Weights of the text network."""


def copied(name: str, folder: Path) -> None:
    shutil.copy(CONFIGS / f"{name}.json", folder / f"{name}.json")


@pytest.mark.parametrize("name", TOTALS)
def test_a_config_gives_a_plan_that_verifies(name: str, tmp_path: Path, monkeypatch) -> None:
    copied(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    line = f"solve ./{name}.json --quant Q4_K_M --budget 300000 --json"
    ran = plan(line, "-o", "plan.json")
    assert ran.code == 0, ran.err
    answer = ran.answer
    assert (answer["kind"], answer["model"]["name"]) == ("plan", name)
    assert answer["model"]["parameters"] == TOTALS[name]
    assert 4.5 < 8 * answer["model"]["file_bytes"] / TOTALS[name] < 5.4
    assert any("would need to be made" in text for text in answer["warnings"])
    assert plan("verify plan.json").code == 0
    assert plan(line).out == ran.out


@pytest.mark.parametrize("name", TOTALS)
def test_no_model_of_the_catalogs_has_these_weights(name: str) -> None:
    assert TOTALS[name] not in {row.parameters for row in load_catalog().models.values()}


def test_there_are_ten_and_a_hybrid() -> None:
    names = {path.stem for path in CONFIGS.glob("*.json")}
    assert names == {*TOTALS, "hybrid-40b"}
    assert len(TOTALS) == 10


def test_the_facts_of_a_hybrid_are_exact() -> None:
    text = str(CONFIGS / "hybrid-40b.json")
    found = facts(text, with_model(load_catalog(), text), context=4096)
    delta = 2048 * (2 * 2048 + 2 * 4096) + 2048 * 64 + 4 * 8192 + 2 * 32 + 128 + 4096 * 2048
    full = 2 * 2048 * 4096 + 2 * 2048 * 512 + 4096 * 2048 + 2 * 256
    experts = 385 * _gated(2048, 512) + 384 * 2048 + 2048
    total = 2 * 151936 * 2048 + 2048 + 24 * delta + 8 * full + 32 * (experts + 2 * 2048)
    assert found.parameters.text == total
    assert [kind.growth for kind in found.cache.kinds] == ["constant", "context"]
    assert found.cache.bytes_per_token == 8 * 2 * 2 * 256 * 2
    state = 24 * 4 * (3 * 8192 + 32 * 128 * 128)
    assert [size.f16 for size in found.cache.sizes] == [16384 * t + state for t in (4096, 131072)]


def test_what_was_taken_for_granted_is_in_every_answer(tmp_path: Path, monkeypatch) -> None:
    copied("unknown-type-7b", tmp_path)
    monkeypatch.chdir(tmp_path)
    model, said = "./unknown-type-7b.json", "model_type 'nova' is not known"
    for line in (
        f"{model} --quant Q4_K_M --budget 300000",
        f"{model} --quant Q4_K_M --budget 10",
        f"evaluate {model} --devices 2",
        f"evaluate {model} --node dgx-spark:1",
        f"requirements {model}",
        f"facts {model}",
    ):
        assumptions = plan(line, "--json").answer["assumptions"]
        assert any(text.startswith(said) for text in assumptions), line
        assert said in " ".join(plan(line).out.split()), line


def test_a_plan_whose_config_is_gone_or_changed_is_not_called_right(
    tmp_path: Path, monkeypatch
) -> None:
    copied("tied-2b", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert plan("./tied-2b.json --quant Q4_K_M --budget 9000 -o plan.json").code == 0
    path = tmp_path / "tied-2b.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "rope_theta": 1.0}))
    changed = plan("verify plan.json --json").answer
    assert (changed["agrees"], changed["same_catalog"]) == (True, False)
    path.write_text(json.dumps({**json.loads(path.read_text()), "intermediate_size": 7424}))
    assert plan("verify plan.json").code == 1
    path.unlink()
    gone = plan("verify plan.json")
    assert (gone.code, gone.out) == (3, "")
    assert gone.err.startswith("error: there is no file or folder ./tied-2b.json")
    assert "\nhint: " in gone.err


def test_a_network_of_microseconds_is_planned(tmp_path: Path, monkeypatch) -> None:
    """Whole nanoseconds of the solver are a large share of its time."""
    fields = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128}
    fields |= {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    fields |= {"vocab_size": 512, "max_position_embeddings": 512, "tie_word_embeddings": True}
    (tmp_path / "tiny.json").write_text(json.dumps(fields))
    monkeypatch.chdir(tmp_path)
    ran = plan("solve ./tiny.json --quant Q8_0 --budget 300000", "-o", "plan.json")
    assert ran.code == 0, ran.err
    assert plan("verify plan.json").code == 0
