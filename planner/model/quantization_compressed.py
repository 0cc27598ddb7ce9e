"""The quantization of checkpoints by compressed-tensors (LLM Compressor) and by AMD Quark.

Model layer. Both declare the numbers of a weight (type, bits, what shares a scale), not a name.
"""

from __future__ import annotations

from collections.abc import Mapping

from planner.errors import FactsError
from planner.model.config_fields import Fields
from planner.model.quantization_names import left_out, module_list, named
from planner.quantization.checkpoint_formats import Microscaled, Packed, Scaled
from planner.quantization.checkpoint_mixed import Format
from planner.quantization.default_schemes import MXFP4, MXFP8, NVFP4, format_name
from planner.quantization.scheme import KEPT_BUT_HEAD, Rule, Scheme, rule

_CLASSES = ("Linear",)
"""Targets that mean all modules of a class."""

_WEIGHTS_ONLY = Microscaled(16, "F8_E4M3", ("weight_global_scale",))
"""NVFP4 of weights whose inputs stay as they are."""


def compressed_tensors(read: Fields, dtype: str) -> Scheme:
    """The scheme of `config_groups`: targets by class, name or `re:` pattern; `ignore` before."""
    whole = read.text("format")
    ignored = left_out(read, "ignore")
    rules: list[Rule] = []
    targets: list[tuple[str, Format]] = []
    for name, settings in read.mapping("config_groups").items():
        group = Fields(settings if isinstance(settings, Mapping) else {})
        if "weights" not in group:
            continue
        form = _format(group, group.text("format") or whole, dtype, name)
        modules = module_list(group, "targets")
        if not modules or set(modules) & set(_CLASSES):
            targets.append(("", form))
        others = tuple(module for module in modules if module not in _CLASSES)
        if others:
            rules.append(named(form, others))
    if not targets and not rules:
        raise FactsError(
            "config field 'config_groups' quantizes no weights",
            hint="take the config.json the publisher ships",
        )
    names = {format_name(form) for _, form in targets} | {
        format_name(found.format) for found in rules if found.format is not None
    }
    return Scheme(
        " + ".join(sorted(names)),
        tuple(targets),
        (*ignored, *rules),
        KEPT_BUT_HEAD,
        dtype=dtype,
        kv_scales="kv_cache_scheme" in read,
    )


def _format(group: Fields, layout: str, dtype: str, name: str) -> Format:
    """The format of the weights of one group."""
    weights = group.section("weights")
    bits, kind = weights.count("num_bits"), weights.text("type")
    strategy, size = weights.text("strategy"), weights.raw("group_size")
    columns = size if type(size) is int and size > 0 else None
    inputs = group.section("input_activations")
    static = "num_bits" in inputs and inputs.raw("dynamic") is False
    match kind, bits:
        case "int", 2 | 3 | 4 | 8 if layout in ("pack-quantized", "marlin-24"):
            symmetric = weights.flag("symmetric", default=True)
            ordered = weights.text("actorder") == "group"
            return Packed(columns, bits, dtype, symmetric, ordered)
        case "int", 8:
            return _scaled(weights, strategy, columns, "I8", dtype, static=static)
        case "float", 8 if layout == "mxfp8-quantized" or columns == 32:
            return MXFP8
        case "float", 8:
            return _scaled(weights, strategy, columns, "F8_E4M3", dtype, static=static)
        case "float", 4 if layout.startswith("mxfp4") or columns == 32:
            return MXFP4
        case "float", 4 if columns in (16, None):
            return NVFP4 if static or "num_bits" in inputs else _WEIGHTS_ONLY
        case _:
            raise FactsError(
                f"config field 'config_groups' has weights of {bits} bits, type '{kind}',"
                f" strategy '{strategy}', format '{layout}' in '{name}', which is not understood",
                hint="integers of 4 and 8 bits and floats of 4 and 8 bits are known",
            )


def _scaled(
    weights: Fields, strategy: str, columns: int | None, kind: str, scale: str, *, static: bool
) -> Scaled:
    """One byte per weight, and a scale for what shares one."""
    match strategy or "tensor":
        case "tensor":
            return Scaled(None, None, kind, scale, input_scale=static)
        case "channel":
            return Scaled(1, None, kind, scale, input_scale=static)
        case "group" if columns is not None:
            return Scaled(1, columns, kind, scale, input_scale=static)
        case "block":
            sizes = [size for size in weights.items("block_structure") if type(size) is int]
            if len(sizes) == 2:
                return Scaled(sizes[0], sizes[1], kind, scale, input_scale=static)
    raise FactsError(
        f"config field 'strategy' is '{strategy}', which is not understood",
        hint="tensor, channel, group with 'group_size' and block with 'block_structure' are known",
    )


def quark(read: Fields, dtype: str) -> Scheme:
    """The scheme of AMD Quark: one setting for all, others by layer name, and what is left out."""
    whole = _quark_format(read.section("global_quant_config"), dtype)
    rules = list(left_out(read, "exclude"))
    for name, settings in read.mapping("layer_quant_config").items():
        apart = _quark_format(Fields(settings if isinstance(settings, Mapping) else {}), dtype)
        rules.append(rule(apart, globs=[name]))
    return Scheme(format_name(whole), (("", whole),), tuple(rules), KEPT_BUT_HEAD, dtype=dtype)


def _quark_format(settings: Fields, dtype: str) -> Format:
    weight = settings.section("weight")
    kind, scheme, size = weight.text("dtype"), weight.text("qscheme"), weight.raw("group_size")
    inputs = settings.section("input_tensors")
    static = "dtype" in inputs and inputs.raw("is_dynamic") is False
    match kind, scheme, size:
        case (("fp4" | "mxfp4"), "per_group", 32):
            return MXFP4
        case "fp8_e4m3", "per_tensor", _:
            return Scaled(None, None, scale=dtype, input_scale=static)
        case "fp8_e4m3", "per_channel", _:
            return Scaled(1, None, scale=dtype, input_scale=static)
        case "int8", "per_channel", _:
            return Scaled(1, None, "I8", dtype, input_scale=static)
        case _:
            raise FactsError(
                f"config field 'global_quant_config' has weights of type '{kind}', '{scheme}',"
                f" group {size!r}, which is not understood",
                hint="fp4 in groups of 32, fp8_e4m3 and int8 per tensor or channel are known",
            )
