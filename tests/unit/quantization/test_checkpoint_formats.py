"""What each checkpoint format stores of one matrix, by hand and in bits per weight."""

from __future__ import annotations

from fractions import Fraction

import pytest

from planner.errors import FactsError
from planner.quantization.checkpoint_formats import (
    DTYPE_BYTES,
    Affine,
    Awq,
    Gptq,
    Microscaled,
    MicroscaledWords,
    Packed,
    Plain,
    Scaled,
    Stored,
)
from planner.quantization.checkpoint_mixed import Exl2, Exl3, Format, Int8Rows, NormalFloat
from planner.quantization.default_schemes import MXFP4, MXFP8, NVFP4, default_scheme

SIDE = 4096


def written(form: Format, rows: int, columns: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {each.name: (each.dtype, each.shape) for each in form.tensors(rows, columns)}


def size(form: Format, rows: int, columns: int) -> int:
    return sum(each.bytes for each in form.tensors(rows, columns))


def test_a_scalar_is_one_element() -> None:
    assert (Stored("input_scale", "F32", ()).elements, Stored("s", "F32", ()).bytes) == (1, 4)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Plain("F16"), {"weight": ("F16", (256, 640))}),
        (
            Scaled(128, 128, name="weight_scale_inv"),
            {"weight": ("F8_E4M3", (256, 640)), "weight_scale_inv": ("F32", (2, 5))},
        ),
        (
            Scaled(1, None, "I8", "BF16"),
            {"weight": ("I8", (256, 640)), "weight_scale": ("BF16", (256, 1))},
        ),
        (
            Scaled(None, None, input_scale=True),
            {
                "weight": ("F8_E4M3", (256, 640)),
                "weight_scale": ("F32", ()),
                "input_scale": ("F32", ()),
            },
        ),
        (MXFP8, {"weight": ("F8_E4M3", (256, 640)), "weight_scale": ("U8", (256, 20))}),
        (MXFP4, {"weight": ("U8", (256, 320)), "weight_scale": ("U8", (256, 20))}),
        (
            NVFP4,
            {
                "weight": ("U8", (256, 320)),
                "weight_scale": ("F8_E4M3", (256, 40)),
                "weight_scale_2": ("F32", ()),
                "input_scale": ("F32", ()),
            },
        ),
        (
            Packed(32),
            {
                "weight_packed": ("I32", (256, 80)),
                "weight_scale": ("BF16", (256, 20)),
                "weight_shape": ("I32", (2,)),
            },
        ),
        (
            Packed(128, symmetric=False, group_index=True),
            {
                "weight_packed": ("I32", (256, 80)),
                "weight_scale": ("BF16", (256, 5)),
                "weight_shape": ("I32", (2,)),
                "weight_zero_point": ("I32", (32, 5)),
                "weight_g_idx": ("I32", (640,)),
            },
        ),
        (
            Awq(),
            {
                "qweight": ("I32", (640, 32)),
                "qzeros": ("I32", (5, 32)),
                "scales": ("F16", (5, 256)),
            },
        ),
        (
            Gptq(),
            {
                "qweight": ("I32", (80, 256)),
                "qzeros": ("I32", (5, 32)),
                "scales": ("F16", (5, 256)),
                "g_idx": ("I32", (640,)),
            },
        ),
        (
            Gptq(None, bits=3),
            {
                "qweight": ("I32", (60, 256)),
                "qzeros": ("I32", (1, 24)),
                "scales": ("F16", (1, 256)),
                "g_idx": ("I32", (640,)),
            },
        ),
        (
            Affine(4),
            {
                "weight": ("U32", (256, 80)),
                "scales": ("BF16", (256, 10)),
                "biases": ("BF16", (256, 10)),
            },
        ),
        (MicroscaledWords(4, 32), {"weight": ("U32", (256, 80)), "scales": ("U8", (256, 20))}),
        (
            Int8Rows(),
            {"weight": ("I8", (256, 640)), "SCB": ("F32", (256,)), "weight_format": ("U8", ())},
        ),
        (Exl2(Fraction(4)), {"q_weight": ("U8", (256 * 640 // 2,))}),
        (
            Exl3(Fraction(4)),
            {"trellis": ("U8", (256 * 640 // 2,)), "suh": ("F16", (640,)), "svh": ("F16", (256,))},
        ),
    ],
)
def test_tensors_of_a_matrix(
    form: Format, expected: dict[str, tuple[str, tuple[int, ...]]]
) -> None:
    assert written(form, 256, 640) == expected


def test_blocks_that_are_not_full_have_a_scale() -> None:
    stored = written(Scaled(128, 128), 576, 7168)
    assert stored["weight_scale"] == ("F32", (5, 56))
    assert written(Gptq(), 128, 200)["scales"] == ("F16", (2, 128))
    assert written(Packed(100), 8, 100)["weight_packed"] == ("I32", (8, 13))


def test_normal_floats_by_hand() -> None:
    plain, nested = NormalFloat(), NormalFloat(nested=True)
    settings = len(
        '{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [256, 640]}'
    )
    assert size(plain, 256, 640) == 81920 + 2560 * 4 + 16 * 4 + settings
    stored = written(nested, 256, 640)
    assert stored["weight.absmax"] == ("U8", (2560,))
    assert stored["weight.nested_absmax"] == ("F32", (10,))
    assert stored["weight.nested_quant_map"] == ("F32", (256,))
    assert written(plain, 3, 5)["weight"] == ("U8", (8, 1))


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("FP8", 8 + 32 / 128**2),
        ("MXFP8", 8.25),
        ("INT4-W4A16-g32", 4.5),
        ("INT4-W4A16-g128", 4.125),
        ("AWQ", 4 + 20 / 128),
        ("NVFP4", 4.5),
        ("MXFP4", 4.25),
        ("NF4", 4.5),
        ("NF4-double", 4 + 8 / 64 + 32 / 64 / 256),
        ("MLX-4bit", 4.5),
        ("MLX-8bit", 8.5),
        ("EXL2-4.0bpw", 4.0),
        ("GPTQ-Int4", 4 + 20 / 128 + 32 / SIDE),
        ("FP8-channel", 8 + 16 / SIDE),
        ("EXL3-4.0bpw", 4 + 2 * 16 / SIDE),
    ],
)
def test_bits_per_weight_of_a_large_matrix(name: str, bits: float) -> None:
    form = default_scheme(name, experts=False).format_of("self_attn.q_proj", ())
    per_weight = 8 * size(form, SIDE, SIDE) / SIDE**2
    assert per_weight == pytest.approx(bits, abs=1e-3)
    assert per_weight >= bits


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (Awq(), "AWQ cannot store a matrix of 100 x 200: 200 is no multiple of 128"),
        (Packed(32), "INT4 cannot store a matrix of 100 x 200: 200 is no multiple of 32"),
        (Affine(4), "MLX cannot store a matrix of 100 x 200: 200 is no multiple of 64"),
        (Microscaled(16, "F8_E4M3"), "FP4 cannot store a matrix of 100 x 200"),
        (MicroscaledWords(4, 32), "MLX cannot store a matrix of 100 x 200"),
    ],
)
def test_a_matrix_that_is_no_whole_number_of_groups_is_refused(form: Format, said: str) -> None:
    with pytest.raises(FactsError, match=said) as caught:
        form.tensors(100, 200)
    assert caught.value.hint


def test_awq_packs_whole_words_of_outputs() -> None:
    with pytest.raises(FactsError, match="100 is no multiple of 8"):
        Awq().tensors(100, 128)


def test_every_type_has_a_size() -> None:
    forms: list[Format] = [NVFP4, MXFP4, MXFP8, Awq(), Gptq(), Affine(4), NormalFloat(nested=True)]
    assert {each.dtype for form in forms for each in form.tensors(128, 128)} <= set(DTYPE_BYTES)
