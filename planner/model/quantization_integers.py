"""The quantization of checkpoints in integers, and by file-wide averages, as configs declare it.

Model layer: AWQ, GPTQ, bitsandbytes, ExLlama and MLX.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from planner.errors import FactsError
from planner.model.config_fields import Fields
from planner.model.quantization_names import left_out
from planner.quantization.checkpoint_formats import Affine, Awq, Gptq, MicroscaledWords
from planner.quantization.checkpoint_mixed import Exl2, Exl3, Format, Int8Rows, NormalFloat
from planner.quantization.default_schemes import format_name
from planner.quantization.scheme import KEPT, KEPT_BUT_HEAD, Scheme, rule

DTYPES = {
    "bfloat16": "BF16",
    "float16": "F16",
    "half": "F16",
    "float32": "F32",
    "float": "F32",
}
"""Names configs have for types of weights to safetensors types."""

_MOST_BITS = 8


def awq(read: Fields, dtype: str) -> Scheme:
    """AWQ of 4 bits."""
    form = Awq(_group(read), read.count("bits", "w_bit", default=4))
    if form.bits != 4:
        raise _not_understood("bits", form.bits, "AWQ of 4 bits is known")
    return Scheme("AWQ", (("", form),), left_out(read, "modules_to_not_convert"), dtype=dtype)


def gptq(read: Fields, dtype: str) -> Scheme:
    """GPTQ; `dynamic` leaves out modules (`-:`) or gives them other settings, by pattern."""
    bits = read.count("bits")
    if bits not in (2, 3, 4, 8):
        raise _not_understood("bits", bits, "GPTQ of 2, 3, 4 and 8 bits is known")
    form = Gptq(_group(read), bits)
    rules = list(left_out(read, "modules_to_not_convert"))
    for pattern, settings in read.mapping("dynamic").items():
        other = Fields(settings if isinstance(settings, Mapping) else {})
        changed = Gptq(
            _group(other) if "group_size" in other else form.group,
            other.count("bits", default=bits),
        )
        apart = None if pattern.startswith("-:") else changed
        rules.append(rule(apart, patterns=[pattern.removeprefix("-:").removeprefix("+:")]))
    kept = KEPT_BUT_HEAD if read.flag("lm_head", default=False) else KEPT
    return Scheme(format_name(form), (("", form),), tuple(rules), kept, dtype=dtype)


def _group(read: Fields) -> int | None:
    """Columns of a group; -1 is a whole row."""
    for field in ("group_size", "q_group_size"):
        if read.raw(field) == -1:
            return None
    return read.count("group_size", "q_group_size", default=128)


def bitsandbytes(read: Fields, dtype: str) -> Scheme:
    """NF4 or FP4, its scales perhaps nested, or LLM.int8."""
    kept = left_out(read, "llm_int8_skip_modules")
    if read.flag("load_in_8bit", default=False):
        return Scheme(format_name(Int8Rows()), (("", Int8Rows()),), kept, dtype=dtype)
    code = read.text("bnb_4bit_quant_type") or "fp4"
    if code not in ("nf4", "fp4"):
        raise _not_understood("bnb_4bit_quant_type", code, "nf4 and fp4 are known")
    nested = read.flag("bnb_4bit_use_double_quant", default=False)
    long = next(name for name, short in DTYPES.items() if short == dtype)
    form = NormalFloat(nested, code, dtype=long)
    return Scheme(format_name(form), (("", form),), kept, dtype=dtype)


def exl(read: Fields, dtype: str, method: str) -> Scheme:
    """An average of bits per weight, and bits of the output projection."""
    bits = Fraction(str(read.number("bits")))
    if bits > _MOST_BITS:
        raise _not_understood("bits", float(bits), f"averages of up to {_MOST_BITS} are known")
    head = Fraction(read.count("head_bits", default=6))
    kind = Exl2 if method == "exl2" else Exl3
    targets: tuple[tuple[str, Format], ...] = (("lm_head", kind(head)), ("", kind(bits)))
    return Scheme(
        format_name(kind(bits)),
        targets,
        kept=KEPT_BUT_HEAD,
        dtype="F16" if dtype == "BF16" else dtype,
    )


def mlx(section: Mapping[str, Any], dtype: str) -> Scheme:
    """All linear layers and the embedding; a module's name may map to settings of its own."""
    read = Fields(section)
    whole = _mlx_format(read, dtype)
    rules = []
    for name, settings in section.items():
        if isinstance(settings, Mapping):
            apart: Format = _mlx_format(Fields({**section, **settings}), dtype)
            rules.append(rule(apart, names=[name]))
        elif settings is False and "." in name:
            rules.append(rule(None, names=[name]))
    return Scheme(format_name(whole), (("", whole),), tuple(rules), (), tables=whole, dtype=dtype)


def _mlx_format(read: Fields, dtype: str) -> Format:
    bits, group = read.count("bits"), read.count("group_size")
    if bits > _MOST_BITS:
        raise _not_understood("bits", bits, f"MLX of up to {_MOST_BITS} bits is known")
    match read.text("mode") or "affine":
        case "affine":
            return Affine(bits, group, dtype)
        case "mxfp4" | "mxfp8" | "nvfp4":
            return MicroscaledWords(bits, group)
        case mode:
            raise _not_understood("mode", mode, "affine, mxfp4, mxfp8 and nvfp4 are known")


def _not_understood(field: str, value: object, hint: str) -> FactsError:
    return FactsError(f"config field '{field}' is {value!r}, which is not understood", hint=hint)
