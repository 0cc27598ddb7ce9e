"""Refits the rates of vLLM and SGLang and writes them where the planner reads them.

    python -m tests.calibration.serving          prints the fit and its errors
    python -m tests.calibration.serving --write  writes catalogs/calibration/serving.toml as well

Figures of the file that no run decides stay as they are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tests.calibration.serving_features import CLASSES, ENGINES, features
from tests.calibration.serving_fit import (
    MODEL_OF,
    MODELS,
    Outcome,
    order_kept,
    outcome,
    quantiles,
)
from tests.calibration.serving_model import PARAMETERS, SHARE, Values

TABLE = Path(__file__).parents[2] / "catalogs" / "calibration" / "serving.toml"
PRIORS = {
    "expert-spread": "spread",
    "expert-imbalance": "imbalance",
    "expert-matrices": "expert matrices",
    "all-reduce-in-step": "all-reduce",
}
SHARED = ("latent", "indexer", "state", "step")
"""Overheads of all engines alike."""

Fields = dict[str, float]


def main(arguments: list[str]) -> None:
    """Prints, and writes where asked to."""
    found = outcome()
    for line in report(found):
        print(line)
    if "--write" in arguments:
        TABLE.write_text(written(TABLE.read_text(encoding="utf-8"), found), encoding="utf-8")


def report(found: Outcome) -> Iterable[str]:
    """The fit in words: errors, order of alternatives, ranges, biases of each model."""
    for name, errors in (("in sample", found.inside), ("model left out", found.left_out)):
        median, p90 = quantiles(errors)
        kept, pairs = order_kept(errors)
        yield (
            f"serving speed, {name}: {len(errors)} runs, {median:.1%} median, {p90:.1%} p90; "
            f"{kept:.1%} of {pairs} alternatives in order"
        )
    inside = np.abs(found.left_out) <= found.bands
    yield (
        f"serving speed, ranges on models left out: {inside.mean():.1%} inside, "
        f"median high/low {np.exp(2 * np.median(found.bands)):.2f}"
    )
    for name in MODELS:
        own = name == MODEL_OF
        median, p90 = quantiles(found.left_out[own])
        bias = np.exp(np.median(found.left_out[own])) - 1
        yield (
            f"  {name:18} {own.sum():4} runs, left out {median:6.1%} median {p90:6.1%} p90, "
            f"bias {bias:+.1%}, {inside[own].mean():4.0%} inside"
        )


def written(text: str, found: Outcome) -> str:
    """The table with the fitted figures in it, and what they were drawn to."""
    priors = {name: parameter.prior for name, parameter in PARAMETERS.items()}
    for number, kind in enumerate(CLASSES):
        own = features().runs["class"] == number
        median, p90 = quantiles(found.left_out[own])
        fields = class_fields(found.values, kind) | {
            "decode_error_median": round(median, 3),
            "decode_error_p90": round(p90, 3),
            "dense_band": round(float(np.exp(found.band[False])) - 1, 3),
            "mixture_band": round(float(np.exp(found.band[True])) - 1, 3),
        }
        text = _row(text, kind, fields, class_fields(priors, kind))
        text = re.sub(
            rf'(name = "{kind}".*?), \d+ runs"', rf'\1, {own.sum()} runs"', text, flags=re.S
        )
    for engine in ENGINES:
        fields = engine_fields(found.values, engine)
        text = _row(text, engine, fields, engine_fields(priors, engine))
    for row, name in PRIORS.items():
        value = found.values[name]
        text = _row(text, row, dict.fromkeys(("low", "best", "high"), value), {})
        drawn = rf'(name = "{row}"\n.*?notes = "Drawn to) [\d.]+;'
        text = re.sub(drawn, rf"\1 {priors[name]:g};", text, flags=re.S)
    return text


def class_fields(values: Values, kind: str) -> Fields:
    """Fields of a class of devices."""
    experts = values[f"experts {kind}"]
    plain = ("weights", "cache", "half", "float8", "float4")
    return {name: values[f"{name} {kind}"] for name in plain} | {
        "experts": experts,
        "experts_float8": min(SHARE, experts * values[f"experts in 8 bits {kind}"]),
        "experts_float4": min(SHARE, experts * values[f"experts in 4 bits {kind}"]),
        "layer_overhead": values[f"layer {kind}"],
    }


def engine_fields(values: Values, engine: str) -> Fields:
    """Fields of an engine."""
    shared = {f"{name}_overhead": values[name] for name in SHARED}
    prompts = values["prompts"] * (values["prompts sglang"] if engine == "sglang" else 1.0)
    return shared | {
        "layer_factor": values[f"layer factor {engine}"],
        "mixture_overhead": values[f"mixture {engine}"],
        "sequence_overhead": values[f"sequence {engine}"],
        "all_reduce": values["all-reduce trtllm"] if engine == "trtllm" else 1.0,
        "prompts": prompts,
    }


def _row(text: str, name: str, fields: Fields, priors: Fields) -> str:
    """`text` with these fields of the row of that name, and its priors after them."""
    start = text.index(f'name = "{name}"\n')
    end = text.find("\n[[", start)
    end = len(text) if end < 0 else end
    row = text[start:end]
    for field, value in fields.items():
        row, count = re.subn(rf"(?m)^{field} = .*$", f"{field} = {value:.4g}", row)
        assert count == 1, f"{TABLE.name}, row {name}: {count} fields {field}"
    if priors:
        inline = ", ".join(f"{field} = {value:.4g}" for field, value in priors.items())
        row = re.sub(r"(?m)^prior = .*\n", "", row)
        row = row.replace("source = ", f"prior = {{ {inline} }}\nsource = ", 1)
    return text[:start] + row + text[end:]


if __name__ == "__main__":
    main(sys.argv[1:])
