"""The shipped calibration is what the benchmark runs say, and so are its stated errors.

Own formula and own fit, sharing no code with the planner: nonlinear least squares on the
logarithm of the time with a soft L1 loss, and again with each card left out.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.reality.tables import table

HERE = Path(__file__).parent
CALIBRATION = HERE.parents[1] / "catalogs" / "calibration"
SOFT = 0.1
"""Scale of the soft L1 loss: errors beyond 10 % count linearly."""
LLAMA = {"llama-3.1-8b": (32, 4096, 8.0303e9), "llama-3.1-70b": (80, 8192, 70.5537e9)}
"""Layers, hidden size and weights; 8 KV heads of 128, vocabulary of 128,256."""
FILE_BYTES = {
    ("llama-3.1-8b", "Q4_K_M"): 4.9128e9,
    ("llama-3.1-8b", "F16"): 16.0606e9,
    ("llama-3.1-70b", "Q4_K_M"): 42.5124e9,
    ("llama-3.1-70b", "F16"): 141.107e9,
}
EMBEDDING_BITS = {"Q4_K_M": 4.5, "F16": 16}
DECODE = ("float", "quantized", "cache", "overhead")
PREFILL = ("float", "quantized")


@dataclass(frozen=True)
class Run:
    device: str
    speed_class: str
    bandwidth: float
    compute: float
    devices: int
    layers: int
    hidden: int
    body: float
    """Weights without embedding and output."""
    read: float
    """Bytes a token reads."""
    quantized: bool
    tokens: int
    decode: float
    """Seconds per token."""
    prefill: float
    """Seconds for the prompt."""


Parameters = Mapping[str, float]
Formula = Callable[[Parameters, Run], float]


def runs() -> list[Run]:
    devices = tomllib.loads((HERE / "speed_devices.toml").read_text(encoding="utf-8"))["device"]
    by_name = {row["name"]: row for row in devices}
    found = []
    for row in table("speed_llama_cpp.csv"):
        device, quant, tokens = by_name[row["device"]], row["quant"], int(row["tokens"])
        layers, hidden, weights = LLAMA[row["model"]]
        embedding = 128256 * hidden * EMBEDDING_BITS[quant] / 8
        found.append(
            Run(
                device=row["device"],
                speed_class=device["speed_class"],
                bandwidth=float(device["memory_bandwidth"].removesuffix(" GB/s")) * 1e9,
                compute=device["dense_fp16"],
                devices=int(row["devices"]),
                layers=layers,
                hidden=hidden,
                body=weights - 2 * 128256 * hidden,
                read=FILE_BYTES[row["model"], quant] - embedding,
                quantized=quant != "F16",
                tokens=tokens,
                decode=1 / float(row["decode_tokens_per_second"]),
                prefill=tokens / float(row["prefill_tokens_per_second"]),
            )
        )
    return found


def decode_seconds(p: Parameters, run: Run) -> float:
    name = run.speed_class
    efficiency = p[f"{name} {'quantized' if run.quantized else 'float'}"]
    cache = run.tokens / 2 * run.layers * 2 * 8 * 128 * 2
    return (
        run.read / (run.bandwidth * efficiency)
        + cache / (run.bandwidth * p[f"{name} cache"])
        + run.layers * p[f"{name} overhead"]
        + (run.devices - 1) * p["hop"]
    )


def prefill_seconds(p: Parameters, run: Run) -> float:
    name = run.speed_class
    efficiency = p[f"{name} {'quantized' if run.quantized else 'float'}"]
    rate = run.compute * efficiency / (1 + p["saturation"] * run.compute / 1e14)
    share = 1.0 if name == "apple" else p["attention"]
    flops = 2 * run.body * run.tokens + 2 * run.layers * run.hidden * run.tokens**2 / share
    ubatches = run.tokens / 512
    step = flops / rate / ubatches / run.devices + (p["hop"] if run.devices > 1 else 0)
    return (ubatches + run.devices - 1) * step


def fit(formula: Formula, start: Parameters, rows: list[Run], truth: str) -> dict[str, float]:
    """Gauss-Newton on log parameters, reweighted for the soft L1 loss, halving bad steps."""
    names = list(start)
    point = np.log([start[name] for name in names])

    def residuals(at: np.ndarray) -> np.ndarray:
        p = dict(zip(names, np.exp(at), strict=True))
        return np.array([math.log(formula(p, run) / getattr(run, truth)) for run in rows])

    def loss(values: np.ndarray) -> float:
        return float(np.sum(np.sqrt(1 + (values / SOFT) ** 2)))

    here = residuals(point)
    for _ in range(60):
        slope = np.stack(
            [(residuals(point + 1e-5 * unit) - here) / 1e-5 for unit in np.eye(len(names))], axis=1
        )
        weight = (1 + (here / SOFT) ** 2) ** -0.25
        step, *_ = np.linalg.lstsq(
            np.vstack([slope * weight[:, None], 1e-3 * np.eye(len(names))]),
            np.concatenate([-here * weight, np.zeros(len(names))]),
            rcond=None,
        )
        step = np.clip(step, -1, 1)
        while loss(after := residuals(point + step)) > loss(here) and np.abs(step).max() > 1e-7:
            step = step / 2
        point, here = point + step, after
        if np.abs(step).max() < 1e-6:
            break
    return dict(zip(names, np.exp(point), strict=True))


def shipped() -> tuple[dict[str, dict], dict[str, dict]]:
    devices = tomllib.loads((CALIBRATION / "devices.toml").read_text(encoding="utf-8"))
    priors = tomllib.loads((CALIBRATION / "priors.toml").read_text(encoding="utf-8"))
    return (
        {row["name"]: row for row in devices["calibration"] if row["measured"]},
        {row["name"]: row for row in priors["prior"]},
    )


def decode_parameters() -> dict[str, float]:
    classes, priors = shipped()
    fields = ("float_efficiency", "quantized_efficiency", "kv_efficiency", "layer_overhead")
    found = {
        f"{name} {part}": row[field]
        for name, row in classes.items()
        for part, field in zip(DECODE, fields, strict=True)
    }
    return found | {"hop": priors["local-hop"]["best"]}


def prefill_parameters() -> dict[str, float]:
    classes, priors = shipped()
    found = {
        f"{name} {part}": row[f"prefill_{part}"]
        for name, row in classes.items()
        for part in PREFILL
    }
    return found | {
        "attention": classes["hbm"]["prefill_attention"],
        "saturation": priors["prefill-saturation"]["best"],
        "hop": priors["prefill-hop"]["best"],
    }


CASES = [
    pytest.param(decode_seconds, decode_parameters, "decode", id="decode"),
    pytest.param(prefill_seconds, prefill_parameters, "prefill", id="prefill"),
]


@pytest.mark.parametrize(("formula", "parameters", "truth"), CASES)
def test_the_shipped_parameters_are_the_fit_over_all_runs(formula, parameters, truth):
    start = parameters()
    rough = {
        name: value * (1.3 if number % 2 else 0.8)
        for number, (name, value) in enumerate(start.items())
    }
    found = fit(formula, rough, runs(), truth)
    for name, value in start.items():
        assert found[name] == pytest.approx(value, rel=0.02), name


@pytest.mark.parametrize(("formula", "parameters", "truth"), CASES)
def test_the_stated_errors_are_those_on_cards_left_out(formula, parameters, truth):
    rows, classes = runs(), shipped()[0]
    factors: dict[str, list[float]] = {}
    for card in sorted({run.device for run in rows}):
        kept = [run for run in rows if run.device != card]
        found = fit(formula, parameters(), kept, truth)
        for run in rows:
            if run.device == card:
                off = abs(math.log(formula(found, run) / getattr(run, truth)))
                factors.setdefault(run.speed_class, []).append(math.exp(off) - 1)
    for name, values in factors.items():
        median, p90 = np.quantile(values, 0.5), np.quantile(values, 0.9)
        print(f"\n{truth} {name}: left out, median {median:.3f}, p90 {p90:.3f}")
        assert median == pytest.approx(classes[name][f"{truth}_error_median"], rel=0.1)
        assert p90 == pytest.approx(classes[name][f"{truth}_error_p90"], rel=0.1)
