"""How many weights the vision tower of a model has, beside its text network, from its config alone.

Model layer. `vision_tower(config)` takes a whole config.json, nested parts included
(`planner.model.config_file.read_config_json`), and returns

- None: a network of text only,
- `Tower`: weights of the image encoder and of the projector into the text network; `.parameters`
  is their sum,
- `UnknownTower`: a tower without rules; `.assumption` is the sentence a report shows.

`vision_parameters(config)` is that sum; None where it is not known, 0 without a tower. Towers stay
in 16 bits in most quantized checkpoints, and GGUF files keep them in a file apart (`mmproj`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from planner.errors import UnsupportedArchitecture
from planner.model.config_fields import Config, Fields
from planner.model.vision_encoders import ENCODERS
from planner.model.vision_projectors import PROJECTORS
from planner.values import Value


class Tower(Value):
    """A vision tower with all its weights counted."""

    kind: Literal["tower"] = "tower"
    encoder: int
    """Weights from patches to features."""
    projector: int
    """Weights from features to the text network's hidden state."""
    assumption: str = ""
    """What the config does not say and was taken for granted; empty for nothing."""

    @property
    def parameters(self) -> int:
        """All weights of the tower."""
        return self.encoder + self.projector


class UnknownTower(Value):
    """A vision tower there are no rules for: nothing of it is counted."""

    kind: Literal["unknown"] = "unknown"
    assumption: str


_NESTED = ("text_config", "llm_config", "thinker_config", "language_config")

_OWN_TOWERS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "llama4": {
            "hidden_size": 1408,
            "num_hidden_layers": 34,
            "intermediate_size": 5632,
            "patch_size": 14,
            "image_size": 336,
            "projector_input_dim": 4096,
            "projector_output_dim": 4096,
            "vision_output_dim": 4096,
        },
        "step3p7": {
            "hidden_size": 1536,
            "num_hidden_layers": 47,
            "intermediate_size": 8960,
            "patch_size": 14,
            "image_size": 728,
        },
    }
)
"""Towers of models whose configs are passed on without `vision_config`: all releases of the
`model_type` have this one (totals of Llama 4 Scout and Maverick and Step 3.7 Flash)."""

_UNREAD = ("embd_layer", "img_processor", "visual", "vision_tower", "mm_vision_tower")
"""Fields of remote code that say there is a tower, not how large it is."""


def vision_tower(config: Config) -> Tower | UnknownTower | None:
    """The tower of the whole config.json `config`; None is a network of text only."""
    outer = str(config.get("model_type") or "")
    fields = config.get("vision_config")
    assumption = ""
    if not isinstance(fields, Mapping) or not fields:
        fields = _OWN_TOWERS.get(outer)
        if fields is None:
            return _unread(config)
        assumption = f"vision tower as in all published models of model_type '{outer}'"
    kind = _kind(outer, str(fields.get("model_type") or ""))
    projector = PROJECTORS.get(outer)
    if kind is None or projector is None:
        return UnknownTower(
            assumption=f"vision tower not counted: no rules for vision_config"
            f" '{fields.get('model_type') or 'without model_type'}' of model_type '{outer}'"
        )
    read, around = Fields(fields), Fields(config)
    try:
        return Tower(
            encoder=ENCODERS[kind](read),
            projector=projector(read, around, _text_width(config)),
            assumption=assumption,
        )
    except UnsupportedArchitecture as error:
        return UnknownTower(assumption=f"vision tower not counted: {error.message}")


def vision_parameters(config: Config) -> int | None:
    """Weights of the vision tower: 0 without one, None where there are no rules for it."""
    match vision_tower(config):
        case None:
            return 0
        case Tower() as tower:
            return tower.parameters
        case UnknownTower():
            return None


def _kind(outer: str, inner: str) -> str | None:
    """The name of the encoder: by the tower's own type, else by the model's."""
    if outer in ENCODERS:
        return outer
    short = inner.removesuffix("_model").removesuffix("_encoder").removesuffix("_vision")
    return next((name for name in (inner, short) if name in ENCODERS), None)


def _text_width(config: Config) -> int:
    level: Config = config
    while True:
        inner = next((level[key] for key in _NESTED if isinstance(level.get(key), Mapping)), None)
        if not inner:
            return Fields(level).count("hidden_size")
        level = inner


def _unread(config: Config) -> UnknownTower | None:
    found = [field for field in _UNREAD if config.get(field)]
    if not found:
        return None
    named = ", ".join(f"'{field}'" for field in found)
    return UnknownTower(assumption=f"vision tower not counted: fields {named} not understood")
