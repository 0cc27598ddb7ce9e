"""What README and `speed.md` say about accuracy, from the scoreboards the reality tests print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass

from docs import serving_accuracy
from docs.console import ROOT
from docs.reference import table
from planner.catalog import load_catalog
from planner.catalog.schema import Calibration

SCOREBOARDS = (
    "tests/reality/test_gguf.py",
    "tests/reality/test_llama_memory.py",
    *serving_accuracy.SCOREBOARDS,
)
_GGUF = re.compile(
    r"GGUF: (\d+) dry runs to the byte, ([\d,]+) tensor types, "
    r"(\d+) published sizes within ([\d.]+%)"
)
_COMPUTE = re.compile(
    r"  (3 layers|fewer|host) +(\d+) rows, +(\d+) equal, (\d+) under, worst ([\d.]+) % over"
)
_KINDS = {
    "3 layers": "device with 3 layers of one kind or more",
    "fewer": "device with fewer",
    "host": "host",
}


@dataclass(slots=True)
class Compute:
    """How the graph buffers compare over all of the engine's tables."""

    rows: int = 0
    equal: int = 0
    under: int = 0
    worst: float = 0.0


def scoreboard() -> str:
    """Figures against what other programs printed or people published, as the suite counts them."""
    from tests.reality.test_llama_memory import ROWS

    printed = _printed()
    sizes = _GGUF.search(printed)
    if sizes is None:
        raise ValueError("tests/reality/test_gguf.py prints no scoreboard")
    runs, types, published, worst = sizes.groups()
    rows = [
        (
            "weight file, bytes",
            f"llama.cpp's quantizer, {runs} files, {types} tensors",
            "every file and every tensor type equal",
        ),
        ("", f"{published} published files", f"within {worst.replace('%', ' %')}"),
        (
            "weights and KV cache of each device, MiB",
            f"llama.cpp's own memory tables, {sum(ROWS.values()):,} rows",
            "every row equal",
        ),
    ]
    for kind, score in _compute(printed).items():
        result = f"{score.equal:,} equal, {score.under} under"
        result += f", at most {score.worst:g} % over" if score.worst else ""
        name = "compute buffers, MiB: " if len(rows) == 3 else ""
        rows.append((f"{name}{_KINDS[kind]}", f"the same tables, {score.rows:,} rows", result))
    rows += serving_accuracy.rows(printed)
    rows += [
        (
            f"decode speed of dense models, {row.title}",
            row.basis.rpartition(", ")[2] + ", each card left out of its own fit",
            f"error {_share(row.decode_error_median)} median, {_share(row.decode_error_p90)} p90",
        )
        for row in _measured()
    ]
    return table(("figure", "against", "result"), rows)


def _printed() -> str:
    """Standard output of the tests with a scoreboard."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV"))}
    done = subprocess.run(
        [*command, *SCOREBOARDS],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ValueError(f"the reality tests fail:\n{done.stdout}{done.stderr}")
    return done.stdout


def _compute(printed: str) -> dict[str, Compute]:
    found = {kind: Compute() for kind in _KINDS}
    for kind, rows, equal, under, worst in _COMPUTE.findall(printed):
        score = found[kind]
        score.rows += int(rows)
        score.equal += int(equal)
        score.under += int(under)
        score.worst = max(score.worst, float(worst))
    if not all(score.rows for score in found.values()):
        raise ValueError("tests/reality/test_llama_memory.py prints no scoreboard")
    return found


def _measured() -> list[Calibration]:
    return [row for row in load_catalog().calibrations.values() if row.measured]


def calibration() -> str:
    """The classes of devices and what each stands on."""
    rows = [
        (
            f"`{row.name}`",
            row.title,
            row.basis or "nothing: a prior",
            _share(row.decode_error_median),
            _share(row.decode_error_p90),
            _share(row.prefill_error_median),
            _share(row.prefill_error_p90),
        )
        for row in load_catalog().calibrations.values()
    ]
    head = ("class", "devices", "fitted on", "decode, median", "decode, p90")
    return table((*head, "prefill, median", "prefill, p90"), rows)


def priors() -> str:
    """What nobody has measured well enough, and what is taken."""
    catalog = load_catalog()
    rows = [
        (row.title, row.unit, *(f"{value:g}" for value in (row.low, row.best, row.high)))
        for row in catalog.priors.values()
    ]
    hops: dict[tuple[float, float, float], list[str]] = {}
    for network in catalog.networks.values():
        hop = (network.hop_low, network.hop_best, network.hop_high)
        hops.setdefault(hop, []).append(f"`{network.name}`")
    most = max(hops, key=lambda hop: len(hops[hop]))
    for hop, names in sorted(hops.items()):
        over = "most networks" if hop == most else ", ".join(names)
        title = f"one hop over {over}, llama.cpp RPC, decode"
        rows.append((title, "s", *(f"{value:g}" for value in hop)))
    return table(("prior", "unit", "low", "best", "high"), rows)


def serving() -> str:
    """Rates of vLLM and SGLang by class of devices, and what they stand on."""
    rows = []
    for row in load_catalog().serving_rates.values():
        experts = (row.experts, row.experts_float8, row.experts_float4)
        shares = (row.weights, *experts, row.cache, row.half, row.float8, row.float4)
        median = "" if row.decode_error_median is None else _share(row.decode_error_median)
        rows.append(
            (
                row.title,
                row.basis or "nothing: a prior",
                *(f"{share:.2f}" for share in shares),
                f"{row.layer_overhead * 1e6:g} us",
                median,
                _share(row.decode_error_p90),
                f"{1 + row.dense_band:.2f}",
                f"{1 + row.mixture_band:.2f}",
            )
        )
    reads = ("weights", "experts, 16 bits", "8 bits", "4 bits", "cache")
    found = ("median", "p90", "range, dense", "range, experts")
    return table(("devices", "runs", *reads, "FP16", "FP8", "FP4", "a layer", *found), rows)


def optimality() -> str:
    """What the optimum is compared with, in the numbers of the suite."""
    from tests.acceptance import test_exhaustive as acceptance
    from tests.solver import test_optimality as random

    goals, everything = len(random.GOALS), sum(len(seeds) for seeds in random.FULL)
    rows = [
        (
            "random instances, 1 to 3 node types, 3 to 8 layers",
            f"{len(random.SLICE)} under {goals} goals",
            f"{everything:,} under {goals} goals",
        ),
        (
            "questions to the catalog cut to three node types",
            f"{len(acceptance.CASES) + len(acceptance.NONE)}",
            f"also every triple of {len(acceptance.NODES)} types for "
            f"{len(acceptance.SUBJECTS)} models",
        ),
    ]
    return table(("every plan enumerated, by code of its own", "every run", "`-m full`"), rows)


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def published_runs() -> str:
    """Single runs that took no part in the fit, as the suite compares them."""
    from tests.reality import test_speed as speed

    rows = []
    for run in speed.published_runs():
        architecture, weights = speed.model(run["model"], run["quant"], run.get("file_gib"))
        estimate = speed.decode(
            architecture,
            weights,
            speed.gpu({**run, "name": "device"}),
            devices=run.get("devices", 1),
            depth=run["depth"],
            network=speed.NETWORK if run.get("network") else None,
        ).inverted()
        three = (f"{value:.3g}" for value in (estimate.low, estimate.best, estimate.high))
        inside = "yes" if estimate.low <= run["measured"] <= estimate.high else "no"
        rows.append((run["what"], f"{run['measured']:g}", *three, inside, run["source"]))
    return table(("run", "measured", "low", "best", "high", "inside", "source"), rows)
