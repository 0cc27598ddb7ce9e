"""The public pages' formula to the printed digit, and the exact figures beside it."""

from __future__ import annotations

import functools
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from planner.catalog.load import load_catalog
from planner.services.requirements import requirements
from planner.services.requirements_figures import (
    differing,
    nominal_figures,
    page_gigabytes,
    page_tenths,
)
from planner.services.requirements_values import (
    Figures,
    Method,
    QuantizationNeeds,
    Requirements,
)

PAGE = tomllib.loads((Path(__file__).parents[2] / "reality/requirements_page.toml").read_text())


@functools.cache
def page_of(model: str, method: Method) -> Requirements:
    return requirements(model, load_catalog(), method)


@pytest.fixture
def kimi() -> Requirements:
    return page_of("kimi-k2", "nominal")


def row_of(page: Requirements, quant: str) -> QuantizationNeeds:
    return next(row for row in page.quantizations if row.quant == quant)


def printed(figures: Figures) -> tuple[str, str, str, str]:
    return (
        f"{figures.bits_per_weight:.2f}",
        page_tenths(figures.memory_bytes),
        page_tenths(figures.full_memory_bytes),
        page_gigabytes(figures.file_bytes),
    )


@pytest.mark.parametrize("cell", PAGE["row"], ids=lambda cell: cell["quant"])
def test_every_cell_of_the_public_page_is_reproduced(kimi: Requirements, cell: dict) -> None:
    nominal = row_of(kimi, cell["quant"]).nominal
    assert nominal is not None
    assert printed(nominal) == (cell["bits"], cell["memory"], cell["full_memory"], cell["file"])


def test_the_page_has_48_figures_besides_its_bits() -> None:
    figures = [cell[name] for cell in PAGE["row"] for name in ("memory", "full_memory", "file")]
    assert len(figures) == 48


def test_the_nominal_page_starts_with_the_public_rows_in_their_order(kimi: Requirements) -> None:
    listed = [row.quant for row in kimi.quantizations if row.nominal is not None]
    assert listed == [cell["quant"] for cell in PAGE["row"]]
    assert [row.quant for row in kimi.quantizations[: len(listed)]] == listed


BY_HAND = [
    # 70,553,706,496 x 4.8 / 8 = 42,332,223,897.6
    # 2 x 80 x 8,192 x 2 = 2,621,440 B a token: 5,368,709,120 at 2,048; 343,597,383,680 at 131,072
    # + 300,000,000: 48,000,933,017.6 and 386,229,607,577.6
    ("llama-3.1-70b", "Q4_K_M", ("4.80", "48.0", "386.2", "42.33")),
    # 70,553,706,496 x 6.6 / 8 = 58,206,807,859.2; 63,875,516,979.2 and 402,104,191,539.2
    ("llama-3.1-70b", "Q6_K", ("6.60", "63.9", "402.1", "58.21")),
    # 235,093,634,560 x 4.8 / 8 = 141,056,180,736
    # 2 x 94 x 4,096 x 2 = 1,540,096 B a token: 3,154,116,608 at 2,048; 63,082,332,160 at 40,960
    # + 300,000,000: 144,510,297,344 and 204,438,512,896
    ("qwen3-235b", "Q4_K_M", ("4.80", "144.5", "204.4", "141.06")),
    # 671,026,419,200 x 4.8 / 8 = 402,615,851,520
    # 2 x 61 x 7,168 x 2 = 1,748,992 B a token: 3,581,935,616 at 2,048; 286,554,849,280 at 163,840
    # + 300,000,000: 406,497,787,136 and 689,470,700,800
    ("deepseek-r1", "Q4_K_M", ("4.80", "406.5", "689.5", "402.62")),
    # 671,026,419,200 x 8 / 8; 674,908,354,816 and 957,881,268,480
    ("deepseek-r1", "Q8_0", ("8.00", "674.9", "957.9", "671.03")),
]


@pytest.mark.parametrize(("model", "quant", "expected"), BY_HAND)
def test_the_formula_on_other_models_agrees_with_a_calculation_by_hand(
    model: str, quant: str, expected: tuple[str, ...]
) -> None:
    nominal = row_of(page_of(model, "nominal"), quant).nominal
    assert nominal is not None
    assert printed(nominal) == expected


def test_every_term_of_the_formula_is_counted_once() -> None:
    found = nominal_figures(8000, Decimal("4.5"), layers=3, hidden=10, window=4096)
    assert found.file_bytes == 4500
    assert found.memory_bytes == 4500 + 2 * 3 * 10 * 2 * 2048 + 300_000_000
    assert found.full_memory_bytes == 4500 + 2 * 3 * 10 * 2 * 4096 + 300_000_000


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1_030_352_666_672, "1030.3"),  # 1030.35 is just below in binary
        (729_948_360_814, "730.0"),  # 729.95 is just above
        (300_000_000, "0.3"),
        (0, "0.0"),
    ],
)
def test_memory_is_rounded_twice_as_the_page_does(size: int, expected: str) -> None:
    assert page_tenths(size) == expected


def test_the_answers_of_the_page_are_its_own(kimi: Requirements) -> None:
    text = " ".join(answer.answer for answer in kimi.answers)
    for figure in ("619.8 GB", "845.4 GB", "1030.3 GB", "286.2 GB", "615.88 GB", "1026.47 GB"):
        assert figure in text
    assert f"adds {PAGE['context_adds']} GB" in text
    assert f"{PAGE['comfortable']} GB or more" in text


def test_the_true_file_and_cache_of_kimi_k2() -> None:
    page = page_of("kimi-k2", "true")
    true = row_of(page, "Q4_K_M").true
    short, full = page.parts
    assert true.file_bytes == 620_550_916_096
    assert full.kv_cache == 61 * (512 + 64) * 2 * 131_072 == 9_210_691_584
    assert short.kv_cache == 61 * (512 + 64) * 2 * 2_048
    assert page.nominal_method.kv_ratio == pytest.approx(24.89, abs=0.005)
    assert true.memory_bytes == short.total
    assert true.full_memory_bytes == full.total


@pytest.mark.parametrize(
    ("model", "bytes_per_token"),
    [("llama-3.1-70b", 80 * 2 * 8 * 128 * 2), ("mixtral-8x22b", 56 * 2 * 8 * 128 * 2)],
)
def test_grouped_attention_keeps_its_own_cache(model: str, bytes_per_token: int) -> None:
    short, full = page_of(model, "true").parts
    assert short.kv_cache == bytes_per_token * 2_048
    assert full.kv_cache == bytes_per_token * full.tokens


def test_parts_sum_to_the_device_total() -> None:
    for part in page_of("gpt-oss-20b", "true").parts:
        assert part.total == part.weights + part.kv_cache + part.compute + part.runtime
        assert part.host > 0


def test_cache_and_graph_are_the_same_for_every_quantization() -> None:
    page = page_of("llama-3.1-70b", "true")
    more = {row.true.full_memory_bytes - row.true.memory_bytes for row in page.quantizations}
    assert more == {page.parts[1].total - page.parts[0].total}


def test_both_figures_are_shown_only_where_they_are_over_two_percent_apart() -> None:
    true = Figures(bits_per_weight=4, file_bytes=1000, memory_bytes=1000, full_memory_bytes=1000)
    other = Figures(bits_per_weight=4.07, file_bytes=1020, memory_bytes=1021, full_memory_bytes=979)
    assert differing(true, other) == ("memory_bytes", "full_memory_bytes")
    assert differing(true, None) == ()


def test_kimi_k2_differs_at_full_context_by_the_cache(kimi: Requirements) -> None:
    assert row_of(kimi, "Q4_K_M").differs == ("full_memory_bytes",)
    assert set(row_of(kimi, "Q2_K").differs) >= {"bits_per_weight", "file_bytes"}
