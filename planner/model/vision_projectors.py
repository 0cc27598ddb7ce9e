"""Weights between an image encoder and the text network, by the `model_type` of the whole model.

Model layer. Sources as in `planner.model.vision_encoders`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from planner.model.config_fields import Fields

Projector = Callable[[Fields, Fields, int], int]
"""From the fields of the tower, those around it, and the text network's hidden size."""


def _linear(columns: int, rows: int, *, bias: bool = True) -> int:
    return rows * (columns + bias)


def _two_layers(columns: int, middle: int, rows: int, *, bias: bool = True) -> int:
    return _linear(columns, middle, bias=bias) + _linear(middle, rows, bias=bias)


def _merged(read: Fields, width: int) -> int:
    """Channels of the patches merged into one token."""
    return width * read.count("spatial_merge_size", default=2) ** 2


def _llava(tower: Fields, model: Fields, text: int) -> int:
    bias = model.flag("multimodal_projector_bias", default=True)
    return _two_layers(tower.count("hidden_size"), text, text, bias=bias)


def _llava_next(tower: Fields, model: Fields, text: int) -> int:
    """With a learned token at the end of a row of patches."""
    return _llava(tower, model, text) + text


def _mistral3(tower: Fields, model: Fields, text: int) -> int:
    width = tower.count("hidden_size")
    merged = _merged(model, width)
    bias = model.flag("multimodal_projector_bias", default=False)
    return width + merged * width + _two_layers(width, text, text, bias=bias)


def _gemma3(tower: Fields, model: Fields, text: int) -> int:
    width = tower.count("hidden_size")
    return width * text + width


def _gemma4(tower: Fields, model: Fields, text: int) -> int:
    return tower.count("hidden_size") * text


def _paligemma(tower: Fields, model: Fields, text: int) -> int:
    rows = tower.optional("projection_dim") or model.count("projection_dim")
    return _linear(tower.count("hidden_size"), rows)


def _idefics3(tower: Fields, model: Fields, text: int) -> int:
    return tower.count("hidden_size") * model.count("scale_factor", default=2) ** 2 * text


def _qwen2(tower: Fields, model: Fields, text: int) -> int:
    width = tower.count("embed_dim")
    merged = _merged(tower, width)
    return 2 * width + _two_layers(merged, merged, tower.count("hidden_size"))


def _qwen2_5(tower: Fields, model: Fields, text: int) -> int:
    width = tower.count("hidden_size")
    merged = _merged(tower, width)
    return width + _two_layers(merged, merged, tower.count("out_hidden_size"))


def _qwen3_vl(tower: Fields, model: Fields, text: int) -> int:
    """One merger behind the encoder, and one per layer in `deepstack_visual_indexes`."""
    merged = _merged(tower, tower.count("hidden_size"))
    layers = _two_layers(merged, merged, tower.count("out_hidden_size"))
    given = "deepstack_visual_indexes" in tower
    deep = len(tower.items("deepstack_visual_indexes")) if given else _DEEP_LAYERS
    return _qwen3(tower, model, text) + deep * (2 * merged + layers)


_DEEP_LAYERS = 3


def _qwen3(tower: Fields, model: Fields, text: int) -> int:
    width, rows = tower.count("hidden_size"), tower.count("out_hidden_size")
    merged = _merged(tower, width)
    return 2 * width + _two_layers(merged, merged, rows)


def _glm4v(tower: Fields, model: Fields, text: int) -> int:
    width, rows = tower.count("hidden_size"), tower.count("out_hidden_size")
    shrink = _linear(_merged(tower, width), rows)
    network = 3 * rows * tower.count("intermediate_size")
    return shrink + rows * rows + 2 * rows + network


def _glm_next(tower: Fields, model: Fields, text: int) -> int:
    """Its network is as wide as the field says, or as the output times the colours of a pixel."""
    width, rows = tower.count("hidden_size"), tower.count("out_hidden_size")
    inner = tower.optional("projection_intermediate_size")
    network = 3 * rows * (inner or rows * tower.count("in_channels", default=3))
    return _linear(_merged(tower, width), rows) + rows * rows + 2 * rows + network


def _kimi_k25(tower: Fields, model: Fields, text: int) -> int:
    width = tower.count("vt_hidden_size", "hidden_size")
    normed = tower.optional("mm_hidden_size") or model.count(
        "projection_hidden_size", default=width
    )
    merged = width * 4
    return 2 * normed + _two_layers(merged, merged, text)


def _kimi_k3(tower: Fields, model: Fields, text: int) -> int:
    merged = tower.count("mm_hidden_size", "vt_hidden_size") * 4
    return _two_layers(merged, merged, text, bias=False) + text


def _llama4(tower: Fields, model: Fields, text: int) -> int:
    middle = tower.count("projector_output_dim")
    inside = tower.count("intermediate_size") * tower.count("projector_input_dim")
    inside += middle * middle
    return inside + tower.count("vision_output_dim") * text


def _mllama(tower: Fields, model: Fields, text: int) -> int:
    return _linear(tower.count("vision_output_dim"), text)


def _internvl(tower: Fields, model: Fields, text: int) -> int:
    ratio = model.number("downsample_ratio") if "downsample_ratio" in model else 0.5
    merged = tower.count("hidden_size") * round(1 / ratio) ** 2
    return 2 * merged + _two_layers(merged, text, text)


def _step(tower: Fields, model: Fields, text: int) -> int:
    bias = model.flag("projector_bias", default=False)
    return _linear(4 * tower.count("hidden_size"), text, bias=bias)


def _minimax(tower: Fields, model: Fields, text: int) -> int:
    width = tower.count("hidden_size")
    middle = model.count("projector_hidden_size", default=text)
    merged = _merged(tower, text)
    return _two_layers(width, middle, text) + _two_layers(merged, middle, text)


def _muse(tower: Fields, model: Fields, text: int) -> int:
    middle = model.count("projector_hidden_size")
    return middle * (model.count("out_hidden_size") + middle + text)


def _lfm2(tower: Fields, model: Fields, text: int) -> int:
    merged = tower.count("hidden_size") * model.count("downsample_factor", default=2) ** 2
    middle = model.count("projector_hidden_size")
    bias = model.flag("projector_bias", default=True)
    normed = 2 * merged * model.flag("projector_use_layernorm", default=True)
    return normed + _two_layers(merged, middle, text, bias=bias)


PROJECTORS: Mapping[str, Projector] = MappingProxyType(
    {
        "exaone4_5": _qwen2_5,
        "gemma3": _gemma3,
        "gemma4": _gemma4,
        "glm46v": _glm4v,
        "glm4v": _glm4v,
        "glm5_next": _glm_next,
        "glm_ocr": _glm_next,
        "glm4v_moe": _glm4v,
        "idefics3": _idefics3,
        "internvl": _internvl,
        "internvl_chat": _internvl,
        "kimi_k25": _kimi_k25,
        "kimi_k3": _kimi_k3,
        "kimi_vl": _kimi_k25,
        "lfm2_vl": _lfm2,
        "llama4": _llama4,
        "llava": _llava,
        "llava_next": _llava_next,
        "minimax_m3_vl": _minimax,
        "ministral3": _mistral3,
        "mistral3": _mistral3,
        "mllama": _mllama,
        "muse_glimmer": _muse,
        "paligemma": _paligemma,
        "qwen2_5_vl": _qwen2_5,
        "qwen2_vl": _qwen2,
        "qwen3_5": _qwen3,
        "qwen3_5_moe": _qwen3,
        "qwen3_vl": _qwen3_vl,
        "qwen3_vl_moe": _qwen3_vl,
        "qwen4_exp": _qwen3,
        "smolvlm": _idefics3,
        "step3p7": _step,
    }
)
"""A model's `model_type` to the weights of its projector."""
