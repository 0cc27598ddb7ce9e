"""What is said of a vision tower: its weights, that there is none, or that there are no rules."""

from __future__ import annotations

from typing import Any

import pytest

from planner.model.vision import Tower, UnknownTower, vision_parameters, vision_tower

SIGLIP = {
    "model_type": "siglip_vision_model",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "image_size": 32,
    "patch_size": 16,
    "vision_use_head": False,
}
GEMMA: dict[str, Any] = {
    "model_type": "gemma3",
    "text_config": {"hidden_size": 96},
    "vision_config": SIGLIP,
}


def test_a_network_of_text_only_has_none() -> None:
    assert vision_tower({"model_type": "llama", "hidden_size": 64}) is None
    assert vision_parameters({"model_type": "llama", "hidden_size": 64}) == 0


def test_encoder_and_projector_are_counted_apart() -> None:
    block = 4 * 64 * 64 + 2 * 64 * 128 + 4 * 64 + 128 + 64 + 4 * 64
    encoder = 3 * 16 * 16 * 64 + 64 + 4 * 64 + 2 * block + 2 * 64
    assert vision_tower(GEMMA) == Tower(encoder=encoder, projector=64 * 96 + 64)


def test_the_text_width_may_stand_beside_the_tower() -> None:
    flat = {"model_type": "gemma3", "hidden_size": 96, "vision_config": SIGLIP}
    assert vision_tower(flat) == vision_tower(GEMMA)


def test_a_tower_left_out_of_the_config_is_that_of_all_releases_and_said_to_be() -> None:
    tower = vision_tower({"model_type": "llama4", "text_config": {"hidden_size": 5120}})
    assert isinstance(tower, Tower)
    assert tower.parameters == 871_932_416
    assert "as in all published models of model_type 'llama4'" in tower.assumption


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**GEMMA, "model_type": "gemma9"}, "of model_type 'gemma9'"),
        ({**GEMMA, "vision_config": {**SIGLIP, "model_type": "eva"}}, "vision_config 'eva'"),
        ({**GEMMA, "vision_config": {"model_type": "pixtral"}}, "config has no"),
        ({**GEMMA, "vision_config": {**SIGLIP, "image_size": [4, 8]}}, "'image_size' is [4, 8]"),
        ({"model_type": "phi4mm", "embd_layer": {"a": 1}}, "fields 'embd_layer' not understood"),
    ],
)
def test_a_tower_without_rules_is_never_a_number(config: dict[str, Any], said: str) -> None:
    tower = vision_tower(config)
    assert isinstance(tower, UnknownTower)
    assert tower.assumption.startswith("vision tower not counted: ")
    assert said in tower.assumption
    assert vision_parameters(config) is None
