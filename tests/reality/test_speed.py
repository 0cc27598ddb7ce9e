"""Measured llama.cpp speeds against the estimate, with a scoreboard."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import math
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from planner.catalog import load_catalog
from planner.catalog.schema import Gpu, Network
from planner.model.architecture import (
    Architecture,
    Dense,
    Grouped,
    Latent,
    Layer,
    MixtureOfExperts,
)
from planner.model.huggingface import architecture_from_config
from planner.model.weights import Weights, gguf_weights
from planner.performance.calibration import device_class
from planner.performance.estimate import performance_of
from planner.performance.prefill import prefill_seconds
from planner.values import Range
from tests.reality.tables import table

HERE = Path(__file__).parent
FAMILY = {"geforce": "cuda", "hbm": "cuda", "apple": "metal", "spark": "cuda", "amd": "rocm"}
ROW: dict[str, Any] = {"source": "test", "checked": datetime.date(2026, 11, 25)}
NETWORK = Network.model_validate(
    {
        **ROW,
        "name": "ethernet",
        "bandwidth_per_direction": "5 Gb/s",
        "hop_low": 1.5e-3,
        "hop_best": 0.6e-3,
        "hop_high": 0.25e-3,
        "adapter": 0,
        "cable": 0,
        "switch": 0,
        "direct": 8,
        "ports": 8,
    }
)


def llama(layers: int, hidden: int, heads: int, intermediate: int) -> Architecture:
    attention = Grouped(heads=heads, kv_heads=8, head_dim=128)
    layer = Layer(attention=attention, feed_forward=Dense(intermediate=intermediate))
    return Architecture(
        gguf_name="llama",
        hidden=hidden,
        vocabulary=128256,
        context_length=131072,
        tied=False,
        layers=(layer,) * layers,
    )


def deepseek_r1() -> Architecture:
    attention = Latent(
        heads=128, query_rank=1536, kv_rank=512, nope_dim=128, rope_dim=64, value_dim=128
    )
    experts = MixtureOfExperts(
        experts=256, used=8, intermediate=2048, shared_intermediate=2048, score_bias=True
    )
    dense = Layer(attention=attention, feed_forward=Dense(intermediate=18432))
    return Architecture(
        gguf_name="deepseek2",
        hidden=7168,
        vocabulary=129280,
        context_length=163840,
        tied=False,
        layers=(dense,) * 3 + (Layer(attention=attention, feed_forward=experts),) * 58,
    )


def shipped(name: str) -> Architecture:
    """A model of the catalog."""
    return architecture_from_config(load_catalog().models[name].config)


MODELS: dict[str, Callable[[], Architecture]] = {
    "llama-3.1-8b": lambda: llama(32, 4096, 32, 14336),
    "llama-3.1-70b": lambda: llama(80, 8192, 64, 28672),
    "llama-3.1-405b": lambda: llama(126, 16384, 128, 53248),
    "deepseek-r1": deepseek_r1,
}


@functools.cache
def model(name: str, quant: str, file_gib: float | None = None) -> tuple[Architecture, Weights]:
    """A model and its weights, each tensor scaled where the file has another size."""
    architecture = MODELS[name]() if name in MODELS else shipped(name)
    weights = gguf_weights(architecture, quant)
    if file_gib is None:
        return architecture, weights
    factor = file_gib * 2**30 / weights.total_bytes
    scaled = tuple(
        dataclasses.replace(tensor, bytes=round(tensor.bytes * factor))
        for tensor in weights.tensors
    )
    return architecture, Weights(scaled)


def gpu(row: dict[str, Any]) -> Gpu:
    speed_class = row["speed_class"]
    measured = speed_class in ("geforce", "hbm", "apple")
    found = Gpu.model_validate(
        {
            **ROW,
            "name": "device",
            "title": "device",
            "vendor": "test",
            "family": FAMILY[speed_class],
            "architecture": "test",
            "nominal_memory": "1 GB",
            "unified": speed_class in ("apple", "spark"),
            "memory_bandwidth": row["memory_bandwidth"],
            "dense_fp16": row["dense_fp16"],
            "speed_class": speed_class if measured else "none",
        }
    )
    assert device_class(found).name == speed_class
    return found


def even_split(device: Gpu, devices: int, slots: int) -> list[tuple[Gpu, int, int]]:
    bounds = [slots * number // devices for number in range(devices + 1)]
    return [(device, bounds[i], bounds[i + 1]) for i in range(devices)]


def decode(
    architecture: Architecture,
    weights: Weights,
    device: Gpu,
    *,
    devices: int,
    depth: int,
    network: Network | None = None,
) -> Range:
    """Seconds per token."""
    return performance_of(
        architecture,
        weights,
        even_split(device, devices, len(architecture.layers) + 1),
        [network] * (devices - 1),
        depth=depth,
        input_tokens=1,
        kv_type="f16",
        ubatch=512,
    ).tpot


def devices() -> dict[str, Gpu]:
    content = tomllib.loads((HERE / "speed_devices.toml").read_text(encoding="utf-8"))
    return {row["name"]: gpu(row) for row in content["device"]}


def benchmark_rows() -> list[dict[str, str]]:
    return table("speed_llama_cpp.csv")


def published_runs() -> list[dict[str, Any]]:
    content = tomllib.loads((HERE / "speed_published.toml").read_text(encoding="utf-8"))
    runs: list[dict[str, Any]] = content["run"]
    return runs


def quantile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[math.ceil(share * (len(ordered) - 1))]


def scoreboard(title: str, factors: dict[str, list[float]], within: dict[str, int]) -> None:
    print(f"\n{title}: factor between estimate and run")
    for name, values in factors.items():
        print(
            f"  {name:8} {len(values):4} runs, median {quantile(values, 0.5):.2f}, "
            f"p90 {quantile(values, 0.9):.2f}, worst {max(values):.2f}, "
            f"{within[name] / len(values):.0%} inside the band"
        )


def compared(estimate: Callable[..., tuple[Range, float]]) -> tuple[dict, dict]:
    """Factor off and runs in the band, per class; `estimate` gives prediction and truth, s."""
    by_device = devices()
    factors: dict[str, list[float]] = {}
    within: dict[str, int] = {}
    for row in benchmark_rows():
        device = by_device[row["device"]]
        predicted, truth = estimate(row, device, *model(row["model"], row["quant"]))
        name = device.speed_class
        factors.setdefault(name, []).append(math.exp(abs(math.log(predicted.best / truth))))
        within[name] = within.get(name, 0) + (predicted.high <= truth <= predicted.low)
    return factors, within


# class: most the median and the 90th percentile of the factor may be
DECODE_LIMITS = {"geforce": (1.06, 1.11), "hbm": (1.08, 1.19), "apple": (1.07, 1.12)}
PREFILL_LIMITS = {"geforce": (1.3, 2.2), "hbm": (1.2, 2.0), "apple": (1.07, 1.15)}
IN_BAND = 0.9
"""Least share of the runs between low and high."""


def test_decode_speed_of_the_benchmarks_is_as_near_as_the_catalog_says():
    def estimate(row, device, architecture, weights):
        seconds = decode(
            architecture,
            weights,
            device,
            devices=int(row["devices"]),
            depth=int(row["tokens"]) // 2,
        )
        return seconds, 1 / float(row["decode_tokens_per_second"])

    factors, within = compared(estimate)
    scoreboard("decode, Llama 3 8B and 70B", factors, within)
    for name, (median, p90) in DECODE_LIMITS.items():
        assert quantile(factors[name], 0.5) <= median
        assert quantile(factors[name], 0.9) <= p90
        assert within[name] >= IN_BAND * len(factors[name])


def test_prefill_speed_of_the_benchmarks_is_as_near_as_the_catalog_says():
    def estimate(row, device, architecture, weights):
        count, tokens = int(row["devices"]), int(row["tokens"])
        seconds = prefill_seconds(
            architecture,
            weights,
            even_split(device, count, len(architecture.layers) + 1),
            tokens=tokens,
            ubatch=512,
            networks=[None] * (count - 1),
            flash_attention=False,
        )
        return seconds, tokens / float(row["prefill_tokens_per_second"])

    factors, within = compared(estimate)
    scoreboard("prefill, Llama 3 8B and 70B", factors, within)
    for name, (median, p90) in PREFILL_LIMITS.items():
        assert quantile(factors[name], 0.5) <= median
        assert quantile(factors[name], 0.9) <= p90
        assert within[name] >= IN_BAND * len(factors[name])


@pytest.mark.parametrize("run", published_runs(), ids=lambda run: run["what"])
def test_a_published_run_is_within_its_tolerance_and_on_its_side_of_the_band(run):
    seconds = decode(
        *model(run["model"], run["quant"], run.get("file_gib")),
        gpu(run),
        devices=run.get("devices", 1),
        depth=run["depth"],
        network=NETWORK if run.get("network") else None,
    )
    speed = seconds.inverted()
    measured = run["measured"]
    print(
        f"\n  {run['what']}: {measured} tok/s, "
        f"estimate {speed.low:.2f} / {speed.best:.2f} / {speed.high:.2f}"
    )
    assert 1 / run["tolerance"] <= speed.best / measured <= run["tolerance"]
    assert (speed.low <= measured <= speed.high) is run["in_band"]
