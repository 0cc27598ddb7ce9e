"""Rows of the published vLLM start-up memory, and what is computed for them."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

from planner.engines.beside import TEXT_ONLY, Beside
from planner.engines.pages import KvType
from planner.engines.sglang.layout import Parallel as SglangParallel
from planner.engines.sglang.memory import LayoutMemory as SglangMemory
from planner.engines.sglang.memory import layout_memory as sglang_memory
from planner.engines.sglang.settings import Settings as SglangSettings
from planner.engines.vllm.layout import Parallel
from planner.engines.vllm.memory import LayoutMemory, layout_memory
from planner.engines.vllm.settings import Device, Settings
from planner.model.architecture import Architecture
from planner.model.huggingface import architecture_from_config
from planner.quantization.checkpoint_formats import Packed
from planner.quantization.default_schemes import default_scheme
from planner.quantization.scheme import Scheme
from planner.units import GIB
from tests.reality.tables import table

HERE = Path(__file__).parent
H100 = Device(memory=round(79.19 * GIB))
H200 = Device(memory=round(139.80 * GIB))
H20 = Device(memory=round(139.72 * GIB), processors=78)
A100 = Device(memory=round(79.25 * GIB), processors=108, small_batches=True)


@functools.cache
def _configs() -> dict[str, str]:
    return {row["id"]: row["config"] for row in table("model_parameters.csv")}


@functools.cache
def _models() -> dict[str, dict[str, str]]:
    return {row["model"]: row for row in table("vllm_models.csv")}


@functools.cache
def network(model: str) -> Architecture:
    """The text network of a row's model."""
    row = _models().get(model)
    if row is None:
        return architecture_from_config(json.loads(_configs()[model]))
    return architecture_from_config(json.loads(row["config"] or _configs()[row["like"]]))


@functools.cache
def scheme(name: str, model: str) -> Scheme:
    """A format by its name, for a model with or without routed experts.

    `INT4-experts` is that of Kimi K2 Thinking and K2.5: routed experts alone, groups of 32.
    """
    if name == "INT4-experts":
        return Scheme(name, (("mlp.experts.", Packed(32)),))
    experts = any(layer.network and layer.network.kind == "moe" for layer in network(model).layers)
    return default_scheme(name, experts=experts)


def beside(model: str) -> Beside:
    """The vision tower and rotary scaling of a row's model."""
    row = _models().get(model)
    if row is None:
        return TEXT_ONLY
    return Beside(
        tower=2 * int(row["tower"] or 0),
        pixel_bytes_per_token=int(row["pixels"] or Beside().pixel_bytes_per_token),
        tokens_per_image=int(row["image"] or 1),
        rope_factor=int(row["rope"] or 1),
    )


@dataclass(frozen=True)
class Run:
    """A published start on one kind of GPU."""

    model: str
    scheme: str
    parallel: Parallel
    settings: Settings
    device: Device = H100


@functools.cache
def computed(run: Run) -> LayoutMemory:
    """What the planner says of a run."""
    return layout_memory(
        network(run.model),
        scheme(run.scheme, run.model),
        run.parallel,
        run.settings,
        run.device,
        beside(run.model),
    )


def sglang_computed(
    model: str, ranks: int, device: Device, context: int, fraction: float | None
) -> SglangMemory:
    """What the planner says of SGLang with a model in FP8 on `ranks` GPUs."""
    return sglang_memory(
        network(model),
        scheme("FP8", model),
        SglangParallel(tensor_parallel=ranks),
        SglangSettings(context_length=context, static_fraction=fraction),
        device.memory,
    )


def startup_run(row: dict[str, str]) -> Run:
    """A row of vllm_startup_h100.csv."""
    kv_type: KvType = "fp8" if row["kv_type"] == "fp8" else "auto"
    return Run(
        row["model"],
        row["scheme"],
        Parallel(tensor_parallel=int(row["tp"])),
        Settings(
            context_length=int(row["max_model_len"]),
            version=row["version"],
            utilization=float(row["utilization"]),
            kv_type=kv_type,
        ),
    )


SCHEMES = {
    "l3": "MXFP4",
    "l4": "MXFP4",
    "l5": "FP8-channel",
    "l6": "BF16",
    "l10": "BF16",
    "l11": "FP8-channel",
    "l12": "FP8",
    "l15": "FP8",
    "l16": "FP8",
    "l31": "MXFP4",
    "l32": "MXFP4",
    "l33": "MXFP4",
    "l34": "MXFP4",
    "l35": "FP8",
}
"""Format of the checkpoint of each row of vllm_logged_memory.csv that is computed."""


VERSIONS = {"0.11.x": "0.11.0", "0.10.1.dev101": "0.10.1", "0.10.1-era": "0.10.1"}
DEVICES = {"H100": H100, "H200": H200, "H20": H20, "A100": A100}


def logged_run(row: dict[str, str]) -> Run:
    """A row of vllm_logged_memory.csv; a version that is not stated is that of its time."""
    fraction = row["mem_fraction"].removeprefix("default ")
    kv_type: KvType = "fp8" if row["kv_dtype"] == "fp8" else "auto"
    model = network(row["model"])
    return Run(
        row["model"],
        SCHEMES[row["id"]],
        Parallel(
            tensor_parallel=int(row["tp"] or 1),
            data_parallel=int(row["dp"] or 1),
            expert_parallel=bool(row["ep"]),
        ),
        Settings(
            context_length=int(row["max_model_len"] or model.context_length),
            version=VERSIONS.get(row["version"], row["version"].partition("-")[0]) or "0.11.0",
            utilization=float(fraction) if fraction else None,
            kv_type=kv_type,
        ),
        DEVICES[row["gpu"].split()[0]],
    )
