"""The report of grids of vLLM and SGLang, read as its user reads it."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from planner.plan import Body, Bytes, Evaluation, KvPool
from planner.report import evaluation, names, ranks, serving
from planner.report.plan import render
from planner.report.terminal import plain_text
from planner.units import GIB, MIB
from planner.values import Range
from tests.unit.report import example
from tests.unit.report import grid_example as grids

TODAY = datetime.date(2026, 11, 25)
HERE = Path(__file__).parent


def text(value: Evaluation, width: int = 100) -> str:
    return plain_text(evaluation.render(value), width)


def squeezed(report: str) -> str:
    return " ".join(report.split())


def table(body: Body, width: int = 100) -> list[str]:
    """The rows of the table of devices."""
    drawn = plain_text(ranks.memory(body), width).splitlines()
    start = next(number for number, line in enumerate(drawn) if set(line) == {"-"})
    return drawn[start + 1 :]


def short_by(size: int) -> dict[str, object]:
    """The devices of the second stage, `size` bytes short."""
    first, last = grids.DEVICES[:8], grids.DEVICES[8:]
    less = {"capacity_bytes": last[0].budget.total - size, "headroom_bytes": -size}
    return {"devices": (*first, *(each.model_copy(update=less) for each in last))}


@pytest.mark.parametrize(("name", "width"), [("grid", 100), ("grid_narrow", 80)])
def test_an_evaluation_reads_as_the_reviewed_file(name, width):
    reviewed = (HERE / f"{name}.txt").read_text(encoding="utf-8")
    assert text(grids.evaluation(), width) == reviewed


@pytest.mark.parametrize("width", [80, 100, 140])
def test_devices_that_hold_the_same_are_one_row_at_any_width(width):
    first, last, *_ = table(grids.body(), width)
    assert "1.0-7 x8 0-30" in squeezed(first)
    assert last.startswith("> ")
    assert "2.0-7 x8 31-60 +out" in squeezed(last)
    assert first.split()[-1] == "1,828"
    assert last.split()[-1] == "642"
    assert max(map(len, (first, last))) <= width


def test_the_widest_table_has_whole_headings_and_experts():
    heading = plain_text(ranks.memory(grids.body()), 140).splitlines()[2]
    assert squeezed(heading) == (
        "device layers experts weights KV asked compute runtime reserve total capacity spare MiB"
    )


def test_experts_stay_where_ranks_hold_different_numbers_of_them():
    devices = tuple(
        device.model_copy(update={"experts": 25 if index < 4 else 24})
        for index, device in enumerate(grids.DEVICES)
    )
    for width in (90, 100):
        rows = [squeezed(line) for line in table(grids.body(devices=devices), width)]
        assert any("1.0-3 x4 0-30 25" in row for row in rows)
        assert any("1.4-7 x4 0-30 24" in row for row in rows)


def test_sixty_four_devices_of_two_stages_are_two_rows():
    devices = tuple(
        device
        for number in range(1, 9)
        for device in (
            grids.machine(number, 0, (0, 30), grids.FIRST)
            if number % 2
            else grids.machine(number, 1, (31, 60), grids.LAST)
        )
    )
    rows = [squeezed(line) for line in table(grids.body(devices=devices))[:2]]
    assert "1, 3, 5, 7: 0-7 x32 0-30" in rows[0]
    assert "2, 4, 6, 8: 0-7 x32 31-60 +out" in rows[1]


def test_many_stages_that_hold_as_much_share_a_row():
    devices = tuple(
        grids.device(
            (index // 8 + 1, index % 8),
            index,
            (index, index) if index else (0, 0),
            grids.LAST if index == 60 else grids.FIRST,
        )
        for index in range(61)
    )
    rows = [squeezed(line) for line in table(grids.body(devices=devices), 140)[:2]]
    assert "hgx-h100-1 to 7: 0-7; 8.0-3 x60 0-59, 1 each" in rows[0]
    assert "hgx-h100-8.4 x1 60 +out" in rows[1]


def test_replicas_that_hold_the_same_share_a_row():
    twice = (
        *grids.machine(1, 0, (0, 60), grids.FIRST),
        *(
            device.model_copy(update={"replica": 1})
            for device in grids.machine(2, 0, (0, 60), grids.FIRST)
        ),
    )
    rows = table(grids.body(devices=twice))
    assert "hgx-h100-1 to 2: 0-7 x16 0-60 +out" in squeezed(rows[0])
    assert sum("0-60" in row for row in rows) == 1


def test_devices_that_idle_are_named_and_hold_nothing():
    idle = tuple(grids.device((2, index), 1, None, grids.NO_MEMORY) for index in (6, 7))
    body = grids.body(devices=(*grids.DEVICES[:14], *idle))
    assert squeezed(table(body, 140)[2]) == "hgx-h100-2.6-7 x2 idle - - - - - - - - -"
    choices = plain_text(render(grids.plan(devices=body.devices), TODAY))
    assert "16x h100-sxm, 2 of them idle" in choices


def test_names_of_devices_count_machines_of_all_types_where_they_are_short():
    other = grids.DEVICES[0].model_copy(update={"id": "hgx-h200-1.5", "node": "hgx-h200-1"})
    everything = (*grids.DEVICES, other)
    named = (*grids.DEVICES[:2], grids.DEVICES[3], other)
    assert names.devices(named, everything) == "hgx-h100-1.0-1,3; hgx-h200-1.5"
    assert names.devices(named, everything, short=True) == "1.0-1,3; 3.5"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "TP 8, PP 2"),
        ({"data_parallel": 2, "expert_parallel": 16}, "TP 8, PP 2, DP 2, EP 16"),
        ({"decode_context_parallel": 8}, "TP 8, PP 2, DCP 8"),
        ({"redundant_experts": 1}, "TP 8, PP 2, 1 redundant expert"),
        ({"redundant_experts": 32}, "TP 8, PP 2, 32 redundant experts"),
    ],
)
def test_degrees_beyond_two_are_said_where_they_are_used(changes, said):
    assert serving.degrees(grids.LAYOUT.model_copy(update=changes)) == said


def test_one_stage_has_no_partition():
    layout = grids.LAYOUT.model_copy(update={"pipeline_parallel": 1, "partition": (61,)})
    assert "layers as" not in text(grids.evaluation(layout=layout))


def test_sglang_settings_have_the_names_of_its_flags():
    report = squeezed(text(grids.evaluation(grids.SGLANG)))
    assert "1 user, sglang 0.5.23" in report
    assert (
        "--context-length 131072, --max-running-requests 512, --chunked-prefill-size 4096, "
        "--mem-fraction-static 0.831, KV auto"
    ) in report


def test_the_pool_says_tokens_requests_and_the_longest_request():
    pool = KvPool(
        tokens=Bytes(low=623_232, best=641_472, high=658_752),
        requests=Range(low=4.83, best=4.9, high=5.09),
        longest=Bytes(low=131_072, best=131_072, high=131_072),
    )
    assert (
        "KV pool: 623,232 to 658,752 tokens (best 641,472), 4.8 to 5.0 requests of 131,072 tokens "
        "at once; longest single request 131,072 Verdict:"
    ) in squeezed(text(grids.evaluation(kv_pool=pool)))


def test_the_pool_of_several_replicas_says_of_which_it_speaks():
    layout = grids.LAYOUT.model_copy(update={"data_parallel": 2})
    report = squeezed(text(grids.evaluation(layout=layout)))
    assert "KV pool of each of 2 replicas: 150,784 to" in report
    assert "requests of 131,072 tokens at once on all of them; longest" in report


def test_a_pool_known_exactly_has_no_bounds_and_one_request_is_singular():
    exactly = Bytes(low=131_072, best=131_072, high=131_072)
    pool = KvPool(tokens=exactly, requests=Range(low=1.0, best=1.0, high=1.0), longest=exactly)
    report = squeezed(text(grids.evaluation(kv_pool=pool)))
    assert "KV pool: 131,072 tokens, 1.0 request of 131,072 tokens at once" in report


def test_a_request_that_is_not_whole_never_reads_as_whole():
    pool = grids.POOL.model_copy(update={"requests": Range(low=0.999, best=99.99, high=123.9)})
    assert serving.requests(pool) == "0.9 to 123 requests"


def test_no_room_for_a_pool_is_said():
    none = Bytes(low=0, best=0, high=0)
    pool = KvPool(tokens=none, requests=Range(low=0, best=0, high=0), longest=none)
    report = squeezed(text(grids.evaluation(kv_pool=pool, verdict="no")))
    assert "KV pool: none, weights and overheads leave no room for it" in report


def test_reserve_is_said_in_the_terms_of_the_engine():
    vllm, sglang = (squeezed(text(grids.evaluation(e))) for e in (grids.VLLM, grids.SGLANG))
    assert "reserve is what utilization 0.92 leaves alone KV pool" in vllm
    assert "free on the roomier side of --mem-fraction-static 0.831, where the other" in sglang
    assert serving.counted(example.ENGINE) == []


def test_what_fits_has_room_in_the_worst_case():
    report = squeezed(text(grids.evaluation(verdict="fits", remedies=())))
    assert (
        "Verdict: fits; hgx-h100-2.0 keeps 642 MiB (0.8 %) free if all overheads come out high"
    ) in report


@pytest.mark.parametrize(
    ("size", "said"),
    [(812 * MIB - 1, "812 MiB"), (GIB + 1, "1.1 GiB"), (GIB * 6 // 5, "1.2 GiB")],
)
def test_tight_may_be_short_in_the_worst_case(size, said):
    report = squeezed(text(grids.evaluation(verdict="tight", **short_by(size))))
    assert f"tight; hgx-h100-2.0 would be {said} short if all overheads come out high" in report
    assert "reserve of" not in report
    plan = plain_text(render(grids.plan(verdict="tight", **short_by(size)), TODAY))
    assert f"tight, {said} short at worst" in plan


def test_what_does_not_fit_is_short_in_any_case_and_has_remedies():
    report = squeezed(text(grids.evaluation(verdict="no", **short_by(65 * GIB))))
    assert (
        "Verdict: does not fit: hgx-h100-2.0 is 65.0 GiB short if all overheads come out high, "
        "and low ones leave too little as well what gives more room spare MiB verdict then option"
    ) in report
    assert "4,096 tokens per step 1,641 fits --max-num-batched-tokens 4096" in report


def test_equal_stages_share_a_column_of_weights():
    middle = tuple(grids.share(stage, 8, attention=700, experts=60_000) for stage in (1, 2))
    classes = (grids.RANKS[0], *middle, grids.RANKS[1].model_copy(update={"stage": 3}))
    drawn = plain_text(ranks.weights(grids.body(ranks=classes)))
    heading = drawn.splitlines()[2]
    assert squeezed(heading) == "stage 0, 8 ranks stages 1-2, 16 ranks stage 3, 8 ranks"
    assert "embedding 0.27 - - output - - 0.27 norm <0.01 - <0.01" in squeezed(drawn)


def test_ranks_that_are_all_alike_are_one_column():
    drawn = plain_text(ranks.weights(grids.body(ranks=(grids.share(0, 16, experts=61_000),))))
    assert "each of 16 ranks" in drawn
    assert "stage" not in drawn
    alone = plain_text(ranks.weights(grids.body(ranks=(grids.share(0, 1, experts=61_000),))))
    assert "1 rank\n" in alone


def test_more_than_four_classes_of_ranks_are_several_tables():
    classes = tuple(grids.share(stage, 2, experts=1_000 + stage) for stage in range(6))
    drawn = plain_text(ranks.weights(grids.body(ranks=classes)))
    assert drawn.count("loaded") == 2
    assert all(f"stage {stage}, 2 ranks" in drawn for stage in range(6))
    assert max(map(len, drawn.splitlines())) <= 100


def test_a_dense_model_has_no_experts_anywhere():
    devices = tuple(each.model_copy(update={"experts": None}) for each in grids.DEVICES)
    shares = tuple(each.model_copy(update={"experts": 0}) for each in grids.RANKS)
    named = grids.evaluation(devices=devices, ranks=shares)
    assert "experts a layer" not in text(named, 140)
    assert "layers      weights" in text(named, 140)


def test_a_plan_says_layout_requests_and_checkpoint():
    layout = grids.LAYOUT.model_copy(update={"expert_parallel": 8})
    other = grids.body(layout=layout, ranks=grids.RANKS[:1])
    report = plain_text(render(grids.plan([other]), TODAY))
    assert report.splitlines()[2].startswith("TP 8, PP 2, 61 layers as 31,30; --max-model-len")
    assert "layout TP 8, PP 2 TP 8, PP 2, EP 8" in squeezed(report)
    assert "full requests at once 1.1 to 1.5 requests" in squeezed(report)
    assert report.count("KV pool: ") == 2, "of the cheapest and of the fastest"
    assert report.count("Weights per rank") == 1
    assert "checkpoint to fetch FP8, 1,029.00 GB, no repository known; every machine needs" in (
        squeezed(report)
    )
    assert "BF16 (2,054.0 GB checkpoint): no plan" in squeezed(report)
    assert "llama-quantize" not in report


def test_a_choice_with_another_network_does_not_repeat_the_memory():
    dearer = grids.body(cost=example.cost((grids.SERVER,), 50_000, None))
    report = plain_text(render(grids.plan([dearer]), TODAY))
    assert "\nmemory of the fastest: as above\n" in report
    assert report.count("KV pool: ") == 1


@pytest.mark.parametrize("width", [80, 100, 140])
def test_nothing_is_cut_off(width):
    report = text(grids.evaluation(), width)
    assert "\N{HORIZONTAL ELLIPSIS}" not in report
    assert max(map(len, report.splitlines())) <= width
