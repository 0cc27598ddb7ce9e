"""The step of `planner.performance.grid_terms` over all runs at once, as a function of its rates.

`PARAMETERS` names each rate, what a fit is drawn to and how strongly; what they absorb of each
other is why they are no kernel efficiencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tests.calibration.serving_features import CLASSES, ENGINES, KINDS, Array, Features

SHARE = 1.0
"""Shares of a data sheet: no more than all of it."""
_CACHE_COMPUTE, _LATENT_COMPUTE, _PROMPT_COMPUTE = 0.5, 0.8, 0.6


@dataclass(frozen=True)
class Parameter:
    prior: float
    scale: float = 1.0
    """How far from its prior it may lie, in logarithms."""
    most: float = 1e3


def _parameters() -> dict[str, Parameter]:
    """Priors: medians of kernel measurements for shares, round figures for overheads."""
    found: dict[str, Parameter] = {}
    shares = {
        "half": (0.78, 0.70),
        "float8": (0.60, 0.525),
        "float4": (0.47, 0.42),
        "weights": (0.75, 0.62),
        "experts": (0.80, 0.80),
        "cache": (0.70, 0.62),
    }
    for name, priors in shares.items():
        for kind, prior in zip(CLASSES, priors, strict=True):
            found[f"{name} {kind}"] = Parameter(prior, most=SHARE)
    for kind in CLASSES:
        found[f"layer {kind}"] = Parameter(25e-6)
        for width in ("8", "4"):
            found[f"experts in {width} bits {kind}"] = Parameter(1.0, 0.5)
    for engine in ENGINES:
        found[f"layer factor {engine}"] = Parameter(1.0)
        found[f"mixture {engine}"] = Parameter(20e-6)
        found[f"sequence {engine}"] = Parameter(8e-6)
    return found | {
        "latent": Parameter(30e-6),
        "indexer": Parameter(30e-6),
        "state": Parameter(10e-6),
        "step": Parameter(500e-6),
        "spread": Parameter(0.7, most=SHARE),
        "imbalance": Parameter(0.5),
        "expert matrices": Parameter(0.6, most=SHARE),
        "all-reduce": Parameter(1.2),
        "all-reduce trtllm": Parameter(0.8, 0.5),
        "prompts": Parameter(1.0),
        "prompts sglang": Parameter(0.6, 0.5),
    }


PARAMETERS = _parameters()
Values = Mapping[str, float]


@dataclass(frozen=True)
class Model:
    """Seconds per token of every run."""

    features: Features

    def seconds(self, values: Values) -> Array:
        """Of every run; no number for devices without a fitted class."""
        runs = self.features.runs
        step = self._layers(values, reads=True) + self._output(values, reads=True)
        step += self._by_engine(values, "sequence") * runs["tokens"] + values["step"]
        step += self._exchanges(values, "exchanged")
        prompt = self._layers(values, reads=False) + self._output(values, reads=False)
        prompt += self._exchanges(values, "exchanged prompt")
        waited = values["prompts"] * np.where(runs["engine"] == 1, values["prompts sglang"], 1.0)
        share = (runs["users"] - 1) / (runs["output"] * runs["replicas"])
        return step + share * waited * prompt

    def _by_class(self, values: Values, name: str) -> Array:
        kind = self.features.runs["class"]
        first, second = (values[f"{name} {each}"] for each in CLASSES)
        return np.select([kind == 0, kind == 1], [first, second], np.nan)

    def _by_engine(self, values: Values, name: str) -> Array:
        engine = self.features.runs["engine"].astype(int)
        return np.array([values[f"{name} {each}"] for each in ENGINES])[engine]

    def _rate(self, values: Values, unit: str) -> Array:
        return self._by_class(values, unit) * self.features.runs[unit]

    def _bytes_rate(self, values: Values, name: str) -> Array:
        return self._by_class(values, name) * self.features.runs["bandwidth"]

    def _expert_bytes_rate(self, values: Values) -> Array:
        owner, width = self.features.owner, self.features.layers["width"]
        plain = self._by_class(values, "experts")
        factors = [self._by_class(values, f"experts in {each} bits") for each in ("8", "4")]
        byte, narrow = (np.minimum(SHARE, plain * factor)[owner] for factor in factors)
        share = np.select([width == 0, width == 1], [plain[owner], byte], narrow)
        return share * self.features.runs["bandwidth"][owner]

    def _layers(self, values: Values, *, reads: bool) -> Array:
        """Of one decoding step, or of the arithmetic of one prompt on every replica."""
        features, owner = self.features, self.features.owner
        layers, runs = features.layers, {k: v[owner] for k, v in features.runs.items()}
        tokens = runs["tokens"] if reads else runs["input"]
        everyone = runs["users"] if reads else runs["input"] * runs["replicas"]
        shared = np.where(runs["shared"] > 0, everyone, tokens)
        rates = {unit: self._rate(values, unit)[owner] for unit in ("half", "float8", "float4")}
        flops = {name: sum(layers[f"{name} {u}"] / rates[u] for u in rates) for name in KINDS}
        attention, dense = 2 * tokens * flops["attention"], 2 * shared * flops["dense"]
        wanted, experts = self._experts(values, flops["experts"], everyone)
        if reads:
            weights = self._bytes_rate(values, "weights")[owner]
            attention = _soft(layers["attention bytes"] / weights, attention)
            dense = _soft(layers["dense bytes"] / weights, dense)
            experts = _soft(
                layers["experts bytes"] * wanted / self._expert_bytes_rate(values), experts
            )
            share = np.where(layers["latent"] > 0, _LATENT_COMPUTE, _CACHE_COMPUTE)
            cache = _soft(
                tokens * layers["cache bytes"] / self._bytes_rate(values, "cache")[owner],
                tokens * layers["cache flops"] / (rates["half"] * share),
            )
        else:
            cache = tokens * layers["prompt flops"] / (rates["half"] * _PROMPT_COMPUTE)
        total = attention + dense + experts + cache
        if reads:
            total = total + self._overhead(values)
        return features.of_runs(layers["count"] * total)

    def _experts(self, values: Values, flops: Array, tokens: Array) -> tuple[Array, Array]:
        """Share of the experts a rank reads, and seconds of their arithmetic."""
        layers, ranks = self.features.layers, self.features.runs["experts ranks"]
        share, split = layers["share"], np.maximum(1.0, ranks[self.features.owner])
        seconds = 2 * tokens * share * flops / values["expert matrices"]
        wanted = 1 - (1 - share) ** (1 + np.maximum(0.0, tokens - 1) * values["spread"])
        routed = share > 0
        own = np.where(routed, layers["used"] / np.where(routed, share, 1.0) / split, 1.0)
        chosen = np.where(routed, tokens * share * own, 1.0)
        spread, imbalance = 2 * np.log(split), values["imbalance"]
        seconds = seconds * (1 + imbalance * np.sqrt(spread / chosen))
        more = imbalance * np.sqrt(spread * wanted * (1 - wanted) / own)
        return np.minimum(1.0, wanted + more), seconds

    def _overhead(self, values: Values) -> Array:
        layers, owner = self.features.layers, self.features.owner
        plain = self._by_class(values, "layer") * self._by_engine(values, "layer factor")
        mixture = self._by_engine(values, "mixture")[owner] * (layers["share"] > 0)
        kinds = {"latent": "latent", "indexer": "indexed", "state": "state"}
        return plain[owner] + mixture + sum(values[k] * layers[kinds[k]] for k in kinds)

    def _output(self, values: Values, *, reads: bool) -> Array:
        runs = self.features.runs
        units = ("half", "float8", "float4")
        flops = sum(runs[f"output {unit}"] / self._rate(values, unit) for unit in units)
        if not reads:
            return 2 * flops
        read = runs["output bytes"] / self._bytes_rate(values, "weights")
        return _soft(read, 2 * runs["tokens"] * flops)

    def _exchanges(self, values: Values, name: str) -> Array:
        runs = self.features.runs
        factor = np.where(runs["engine"] == ENGINES.index("trtllm"), values["all-reduce trtllm"], 1)
        return runs[name] * values["all-reduce"] * factor


def _soft(one: Array, other: Array) -> Array:
    return (one**4 + other**4) ** 0.25
