"""Fuzzes the reader of config.json: `python -m tests.fuzz.fuzz_config`.

Each input is a config changed in its text or in its values. The reader must return what `json`
reads, flattened without fields of the tower, or raise FileError or FactsError with a hint.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

from planner.errors import FactsError, FileError
from planner.model.config_file import NESTED, OUTER_FIELDS, flatten, parse_config
from tests.fuzz.command_line import ends_of, hinted, main
from tests.fuzz.fuzz_safetensors import changed

INPUTS = 50_000
TEXT = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "rope_scaling": {"factor": 64.0, "type": "yarn"},
    "layer_types": ["full_attention", "sliding_attention"],
    "quantization_config": {"bits": 4, "ignore": ["lm_head", "re:.*self_attn.*"]},
    "tie_word_embeddings": False,
}
VISION = {"hidden_size": 1152, "num_hidden_layers": 27, "num_attention_heads": 16}
CONFIGS: tuple[dict[str, Any], ...] = (
    TEXT,
    VISION | {"model_type": "vlm", "text_config": TEXT, "vision_config": VISION},
    {"thinker_config": {"text_config": TEXT}, "talker_config": {"text_config": VISION}},
    VISION | {"llm_config": TEXT, "architectures": ["ÄForCausalLM"]},
)
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**70, 0.5, "", "x", "\ud800", float("nan"), float("inf")),
    *([], {}, [None], {"text_config": {}}, TEXT, [[[[]]]], {"a": {"a": {"a": 1}}}),
)


def with_other_values(config: dict[str, Any], choice: random.Random) -> dict[str, Any]:
    """`config` with one or two fields, at any depth, set to a value of another kind."""
    copy: dict[str, Any] = json.loads(json.dumps(config))
    for _ in range(choice.randint(1, 2)):
        at = copy
        while True:
            key = choice.choice([*at, *NESTED])
            below = at.get(key)
            if not isinstance(below, dict) or not below or choice.random() < 0.4:
                break
            at = below
        at[key] = json.loads(json.dumps(choice.choice(VALUES)))
    return copy


def one_config(choice: random.Random) -> str:
    """Reads one changed config; what came of it."""
    config = choice.choice(CONFIGS)
    if choice.random() < 0.5:
        raw = json.dumps(with_other_values(config, choice)).encode()
    else:
        raw = changed(json.dumps(config, ensure_ascii=False).encode(), choice)
    try:
        content = parse_config(raw, "config.json")
    except FileError as error:
        return hinted(error, "text refused")
    assert content == json.loads(raw.decode("utf-8-sig")), raw
    json.dumps(content, ensure_ascii=False).encode()
    try:
        flat = flatten(content)
    except FactsError as error:
        return hinted(error, "nesting refused")
    assert not set(flat) & set(NESTED), raw
    if not any(content.get(key) for key in NESTED):
        assert flat == {key: value for key, value in content.items() if key not in NESTED}, raw
        return "flat read"
    taken = set(OUTER_FIELDS)
    innermost = content
    while part := next((innermost[key] for key in NESTED if innermost.get(key)), None):
        innermost = part
    assert set(flat) - taken == set(innermost) - taken - set(NESTED), raw
    return "nested read"


def fuzz(inputs: int, seed: int) -> Counter[str]:
    """Reads `inputs` inputs, the same ones for a seed; how many came to which end."""
    return ends_of(lambda choice, _: one_config(choice), inputs, seed)


if __name__ == "__main__":
    main(fuzz, __doc__, INPUTS)
