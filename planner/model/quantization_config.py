"""The quantization a config.json declares, read as the scheme its checkpoint is stored by.

Model layer. `quant_method` names the writer; which modules it left out is honoured name by name.
A method or setting that is not understood is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.errors import FactsError
from planner.model.config_fields import Config, Fields
from planner.model.quantization_compressed import compressed_tensors, quark
from planner.model.quantization_integers import DTYPES, awq, bitsandbytes, exl, gptq, mlx
from planner.model.quantization_modelopt import layer_rules, modelopt
from planner.model.quantization_names import left_out
from planner.quantization.checkpoint_formats import Scaled
from planner.quantization.checkpoint_mixed import Format
from planner.quantization.default_schemes import MXFP4, default_scheme, format_name
from planner.quantization.scheme import Scheme

_SECTIONS = ("quantization_config", "compression_config")
_TEXT = ("text_config", "llm_config")
_SCALE_FORMATS = ("", "float", "float32", "ue8m0")


def declared_scheme(config: Config, beside: Config | None = None) -> Scheme | None:
    """The scheme a config.json declares; None where it declares none.

    Args:
        config: a whole config.json.
        beside: the hf_quant_config.json of the same folder, which ModelOpt writes.

    Raises:
        FactsError: a quantization that is not understood; the message names the field.
    """
    everywhere = _parts(config)
    found = [part[key] for part in everywhere for key in _SECTIONS if _given(part, key)]
    dtype = _dtype(everywhere)
    own_method = Fields(found[0]).text("quant_method") if found else "modelopt"
    quantization = beside.get("quantization") if beside is not None else None
    if isinstance(quantization, Mapping) and own_method in ("", "modelopt"):
        merged = {**(found[0] if found else {}), **quantization, "quant_method": "modelopt"}
        return _read(merged, config, dtype)
    if found:
        return _read(found[0], config, dtype)
    if _given(config, "quantization"):
        return mlx(config["quantization"], dtype)
    return None


def scheme_for(
    config: Config, quant: str, declared: Scheme | None, *, experts: bool
) -> tuple[Scheme, bool]:
    """The scheme of a checkpoint in `quant`, and whether it is the one this config is of.

    The scheme `declared` where it goes by that name, else the usual one: such a checkpoint would
    need to be made, or is published under another config.

    Raises:
        FactsError: no checkpoint format of that name.
    """
    if declared is not None and declared.name.casefold() == quant.casefold():
        return declared, True
    usual = default_scheme(quant, experts=experts)
    return usual, declared is None and not usual.targets and usual.dtype == plain_dtype(config)


def plain_dtype(config: Config) -> str:
    """Safetensors type of what a config.json leaves unquantized, e.g. `BF16`."""
    return _dtype(_parts(config))


def _parts(config: Config) -> list[Config]:
    """The config, and that of its text network where it is nested."""
    return [config, *(part for key in _TEXT if isinstance(part := config.get(key), Mapping))]


def _given(part: Config, key: str) -> bool:
    return isinstance(part.get(key), Mapping) and bool(part[key])


def _read(section: Mapping[str, Any], config: Config, dtype: str) -> Scheme:
    read = Fields(section)
    match _method(read):
        case "fp8" | "fbgemm_fp8" as method:
            return _fp8(read, config, dtype, rows=method == "fbgemm_fp8")
        case "compressed-tensors":
            return compressed_tensors(read, dtype)
        case "modelopt" | "modelopt_fp4" | "modelopt_mixed":
            return modelopt(read, dtype)
        case "awq":
            return awq(read, dtype)
        case "gptq":
            return gptq(read, dtype)
        case "mxfp4":
            return _mxfp4(read, dtype)
        case "bitsandbytes":
            return bitsandbytes(read, dtype)
        case "quark":
            return quark(read, dtype)
        case "exl2" | "exl3" as method:
            return exl(read, dtype, method)
        case "mlx":
            return mlx(section, dtype)
        case unknown:
            raise FactsError(
                f"config field 'quant_method' is '{unknown}', a quantization without rules",
                hint="known: fp8, fbgemm_fp8, compressed-tensors, modelopt, awq, gptq, mxfp4, "
                "bitsandbytes, quark, exl2, exl3, and MLX",
            )


def _method(read: Fields) -> str:
    """The writer of the checkpoint; some do not name themselves."""
    named = read.text("quant_method").casefold()
    if named:
        return named
    if "quant_algo" in read:
        return "modelopt"
    if "config_groups" in read:
        return "compressed-tensors"
    if "load_in_4bit" in read or "load_in_8bit" in read:
        return "bitsandbytes"
    return "mlx" if "group_size" in read and "bits" in read else named


def _fp8(read: Fields, config: Config, dtype: str, *, rows: bool) -> Scheme:
    """8-bit floats with a scale per block, per row (FBGEMM) or per matrix.

    DeepSeek V4 declares its experts apart (`expert_dtype`), ModelOpt some layers.
    """
    block = read.items("weight_block_size")
    targets: tuple[tuple[str, Format], ...]
    if rows:
        targets = (("", Scaled(1, None)),)
    elif block:
        targets = (("", _blocks(read, block, str(config.get("model_type")))),)
    else:
        static = read.text("activation_scheme") == "static"
        targets = (("", Scaled(None, None, scale=dtype, input_scale=static)),)
    if config.get("expert_dtype") == "fp4":
        targets = (("mlp.experts.", MXFP4), *targets)
    kept = left_out(read, "modules_to_not_convert", "ignored_layers")
    return Scheme(format_name(targets[-1][1]), targets, (*layer_rules(read), *kept), dtype=dtype)


def _blocks(read: Fields, block: tuple[Any, ...], model_type: str) -> Scaled:
    """DeepSeek V3.1 and V3.2 round scales to powers of two and still store them as F32."""
    scale = read.text("scale_fmt").casefold()
    sizes = [size for size in block if type(size) is int and size > 0]
    if len(sizes) != 2 or len(block) != 2 or scale not in _SCALE_FORMATS:
        raise FactsError(
            f"config field 'weight_block_size' is {block!r} with scales '{scale}'",
            hint="two sizes, with scales in float or ue8m0, are known",
        )
    in_bytes = scale == "ue8m0" and model_type == "deepseek_v4"
    scales = "F8_E8M0" if in_bytes else "F32"
    return Scaled(sizes[0], sizes[1], scale=scales, name="weight_scale_inv")


def _mxfp4(read: Fields, dtype: str) -> Scheme:
    """Routed experts only (gpt-oss)."""
    kept = left_out(read, "modules_to_not_convert")
    return Scheme("MXFP4", (("mlp.experts.", MXFP4),), kept, dtype=dtype)


def _dtype(parts: list[Config]) -> str:
    """Safetensors type of what is not quantized."""
    for part in parts:
        for field in ("torch_dtype", "dtype"):
            name = str(part.get(field) or "").removeprefix("torch.")
            if name in DTYPES:
                return DTYPES[name]
    return "BF16"
