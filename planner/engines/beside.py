"""What a config says beside the text network and engines hold memory for. Engines layer.

A vision tower is loaded with the model and profiled with images; rotary tables are longer where
linear scaling stretches them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.model.config_fields import Config
from planner.model.vision import Tower, vision_tower

HALF, FLOAT = 2, 4
PIXEL_BYTES_PER_TOKEN = 4 * 588 * (FLOAT + HALF)
"""Four patches of 14 x 14 pixels in three colours per token, in 32 and in 16 bits."""
COLOURS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A vision tower, and the stretch of rotary tables."""

    tower: int = 0
    """Bytes of the whole tower; 0 is a network of text."""
    pixel_bytes_per_token: int = PIXEL_BYTES_PER_TOKEN
    """Bytes of an image per token it becomes."""
    tokens_per_image: int = 1
    """Tokens of the largest image: what is profiled is a whole number of them."""
    rope_factor: int = 1
    """Linear scaling of the rotary table of layers with full attention."""
    assumption: str = ""
    """What of it could not be read; empty for nothing."""


TEXT_ONLY = Beside()


def beside_of(config: Config) -> Beside:
    """What a whole config.json says; a tower without rules is in `assumption`."""
    tower = vision_tower(config)
    factor = _linear_factor(config)
    if tower is None:
        return Beside(rope_factor=factor)
    if not isinstance(tower, Tower):
        return Beside(rope_factor=factor, assumption=tower.assumption)
    image = config.get("mm_tokens_per_image")
    if isinstance(image, int) and (pixels := _square_pixels(config)):
        return Beside(
            tower=tower.parameters * HALF,
            pixel_bytes_per_token=pixels * COLOURS * HALF // image,
            tokens_per_image=image,
            rope_factor=factor,
            assumption=tower.assumption,
        )
    return Beside(tower=tower.parameters * HALF, rope_factor=factor, assumption=tower.assumption)


def _square_pixels(config: Config) -> int:
    """Pixels of an image of fixed size; 0 where size is free."""
    fields = config.get("vision_config")
    side = fields.get("image_size") if isinstance(fields, Mapping) else None
    return side * side if isinstance(side, int) else 0


def _linear_factor(config: Config) -> int:
    text = config.get("text_config")
    found: Mapping[str, Any] = text if isinstance(text, Mapping) else config
    scaling = found.get("rope_scaling") or config.get("rope_scaling")
    if not isinstance(scaling, Mapping):
        return 1
    kind = scaling.get("rope_type") or scaling.get("type")
    factor = scaling.get("factor")
    return int(factor) if kind == "linear" and isinstance(factor, int | float) else 1
