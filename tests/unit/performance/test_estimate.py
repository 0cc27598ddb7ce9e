"""The whole answer: terms add up, users share."""

from __future__ import annotations

import pytest

from planner.performance.estimate import performance_of, prefill_of, total
from planner.performance.roofline import slot_seconds


@pytest.fixture
def estimate(make_network, make_gpu, expert_layer, ethernet):
    architecture, weights = make_network(*[expert_layer] * 3)
    stages = [(make_gpu(), 0, 1), (make_gpu(), 1, 2), (make_gpu(speed_class="hbm"), 2, 4)]

    def make(users=1):
        return performance_of(
            architecture,
            weights,
            stages,
            [None, ethernet],
            depth=4500,
            input_tokens=4000,
            kv_type="f16",
            ubatch=512,
            users=users,
        )

    make.slots = [
        slot
        for gpu, first, stop in stages
        for slot in slot_seconds(architecture, weights, gpu, depth=4500, kv_type="f16")[first:stop]
    ]
    return make


def test_the_terms_add_up_to_the_time_per_token(estimate):
    performance = estimate()
    terms = total(term.seconds for term in performance.terms)
    slots = total(estimate.slots)
    hops = {"low": 4e-4 + 1.5e-3, "best": 2.396e-4 + 0.6e-3, "high": 1.2e-4 + 0.25e-3}
    for case, hop in hops.items():
        expected = getattr(slots, case) + hop
        assert getattr(performance.tpot, case) == pytest.approx(expected, rel=1e-9)
        assert getattr(terms, case) == pytest.approx(expected, rel=1e-9)
        assert getattr(performance.tokens_per_second, case) == pytest.approx(1 / expected)


def test_users_share_the_single_streams_speed(estimate):
    one, eight = estimate(), estimate(users=8)
    assert eight.tokens_per_second == one.tokens_per_second
    for case in ("low", "best", "high"):
        alone = getattr(one.tokens_per_second_per_user, case)
        assert getattr(eight.tokens_per_second_per_user, case) == pytest.approx(alone / 8)
        assert getattr(eight.tpot, case) == pytest.approx(8 * getattr(one.tpot, case))


def test_low_is_the_pessimists_everywhere(estimate):
    performance = estimate()
    assert performance.ttft.low > performance.ttft.best > performance.ttft.high
    assert performance.tpot.low > performance.tpot.best > performance.tpot.high
    speed = performance.tokens_per_second
    assert speed.low < speed.best < speed.high


def test_each_kind_of_device_is_named_once_in_the_calibration(estimate):
    text = estimate().calibration
    assert text.startswith("uncalibrated")
    assert text.count("GDDR") == text.count("HBM") == 1


def test_a_prompt_is_unusable_when_even_the_optimist_waits_over_a_minute(
    make_network, make_gpu, dense_layer
):
    architecture, weights = make_network(*[dense_layer] * 4)

    def prefill(tokens):
        stages = [(make_gpu(), 0, 5)]
        return prefill_of(architecture, weights, stages, [], tokens=tokens, ubatch=512)

    short, long = prefill(4000), prefill(2_000_000)
    assert short.usable
    assert short.ttft.high < 60
    assert not long.usable
    assert long.ttft.high > 60
