"""The quantization of checkpoints by NVIDIA ModelOpt: one algorithm, or one per layer.

Model layer. The same is declared in `quantization_config` of config.json and, under other names, in
hf_quant_config.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.errors import FactsError
from planner.model.config_fields import Fields
from planner.model.quantization_names import left_out
from planner.quantization.checkpoint_formats import Awq, Microscaled, Scaled
from planner.quantization.checkpoint_mixed import Format
from planner.quantization.default_schemes import FP8_TENSOR, MXFP4, MXFP8, NVFP4, format_name
from planner.quantization.scheme import KEPT, KEPT_BUT_HEAD, Rule, Scheme, rule

_ALGORITHMS: Mapping[str, Format] = {
    "FP8": FP8_TENSOR,
    "FP8_PER_CHANNEL_PER_TOKEN": Scaled(1, None),
    "FP8_PB_WO": Scaled(128, 128),
    "FP8_PB_REAL": Scaled(128, 128),
    "NVFP4": NVFP4,
    "W4A16_NVFP4": Microscaled(16, "F8_E4M3", ("weight_scale_2",)),
    "MXFP4": MXFP4,
    "MXFP8": MXFP8,
    "W4A16_AWQ": Awq(128),
    "NVFP4_AWQ": NVFP4,
}
"""`quant_algo` to the format of a matrix."""

_PER_LAYER = "MIXED_PRECISION"
_NVFP4_GROUP = 16


def modelopt(read: Fields, dtype: str) -> Scheme:
    """The scheme of a ModelOpt checkpoint."""
    algorithm = read.text("quant_algo")
    kept = left_out(read, "exclude_modules", "ignore")
    targets: tuple[tuple[str, Format], ...] = ()
    if algorithm != _PER_LAYER:
        targets = (("", _format(algorithm)),)
    group = read.optional("group_size")
    if "NVFP4" in algorithm and group not in (None, _NVFP4_GROUP):
        raise FactsError(
            f"config field 'group_size' is {group} with NVFP4, which is not understood",
            hint=f"NVFP4 in groups of {_NVFP4_GROUP} is known",
        )
    layers = layer_rules(read)
    forms = [form for _, form in targets] + [found.format for found in layers if found.format]
    return Scheme(
        " + ".join(sorted({format_name(form) for form in forms})) or "ModelOpt",
        targets,
        (*layers, *kept),
        KEPT_BUT_HEAD if kept else KEPT,
        dtype=dtype,
        kv_scales="kv_cache_quant_algo" in read or "kv_cache_scheme" in read,
    )


def layer_rules(read: Fields) -> tuple[Rule, ...]:
    """Rules for modules that declare an algorithm of their own (`quantized_layers`)."""
    by_format: dict[Format, list[str]] = {}
    for name, settings in read.mapping("quantized_layers").items():
        by_format.setdefault(_layer_format(name, settings), []).append(name)
    return tuple(rule(form, names=names) for form, names in by_format.items())


def _layer_format(name: str, settings: Any) -> Format:
    declared = settings.get("quant_algo") if isinstance(settings, Mapping) else None
    if not isinstance(declared, str):
        raise FactsError(
            f"config field 'quantized_layers' has no 'quant_algo' for '{name[:60]}'",
            hint="take the config.json the publisher ships",
        )
    return _format(declared)


def _format(algorithm: str) -> Format:
    found = _ALGORITHMS.get(algorithm)
    if found is None:
        raise FactsError(
            f"config field 'quant_algo' is '{algorithm}', a quantization without rules",
            hint="known: " + ", ".join((*_ALGORITHMS, _PER_LAYER)),
        )
    return found
