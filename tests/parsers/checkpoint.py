"""Checkpoint folders of catalog models with a config.json and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from planner.catalog.load import load_catalog

ARCHITECTURES = {
    "deepseek_v2": "DeepseekV2ForCausalLM",
    "deepseek_v3": "DeepseekV3ForCausalLM",
    "deepseek_v32": "DeepseekV32ForCausalLM",
    "dots1": "Dots1ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "glm": "GlmForCausalLM",
    "glm4_moe": "Glm4MoeForCausalLM",
    "glm4_moe_lite": "Glm4MoeLiteForCausalLM",
    "gpt_oss": "GptOssForCausalLM",
    "granitemoehybrid": "GraniteMoeHybridForCausalLM",
    "jamba": "JambaForCausalLM",
    "kimi_k2": "DeepseekV3ForCausalLM",
    "llama": "LlamaForCausalLM",
    "minimax": "MiniMaxText01ForCausalLM",
    "minimax_m2": "MiniMaxM2ForCausalLM",
    "mistral": "MistralForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "nemotron_h": "NemotronHForCausalLM",
    "olmo3": "Olmo3ForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "qwen3_next": "Qwen3NextForCausalLM",
    "solar_open": "SolarOpenForCausalLM",
}
"""What published configs say under `architectures`, by `model_type` of the text network."""


def write_checkpoint(folder: Path, model: str) -> Path:
    """A folder with the published config fields of a catalog model, without a vision tower."""
    config = load_catalog().model(model).config
    content = {key: value for key, value in config.items() if key != "vision_config"}
    content["architectures"] = [ARCHITECTURES[config["model_type"]]]
    content["torch_dtype"] = "bfloat16"
    if config.get("quantization_config", {}).get("quant_method") == "fp8":
        content["quantization_config"] = {
            "activation_scheme": "dynamic",
            **config["quantization_config"],
        }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(content))
    return folder
