"""Fuzzes what is made of a config: `python -m tests.fuzz.fuzz_network`.

Each input is the config of a catalog model with a few fields changed, gone or of another model.
It must become a network whose parts add up, or be refused by FactsError with a hint.
"""

from __future__ import annotations

import random
from collections import Counter
from copy import deepcopy as copied
from typing import Any

from planner.catalog.load import load_catalog
from planner.errors import FactsError
from planner.model.architecture import Architecture
from planner.model.cache import cache_bytes
from planner.model.config_file import flatten
from planner.model.huggingface import architecture_from_config
from planner.model.parameters import active_parameters, by_component, mtp_parameters, parameters
from planner.model.tensors import gguf_tensors
from planner.model.vision import vision_tower
from tests.fuzz.command_line import ends_of, hinted, main

INPUTS = 50_000
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, 3, 7, 8, 64, 128, 4096, -1, -4096, 2**31 - 1, 2**31, 2**70),
    *(0.5, 1e300, -1.5, float("inf"), "", "x", "4096", "\x1b[31m", 10**400),
    *([], [0], [1, 2], [-1], [None], ["full_attention"] * 5, [["a"]], [2**70] * 100, [0.5] * 60),
    *({}, {"a": 1}, {"hidden_size": -1}, {"rope_type": "yarn"}, {"0": {"1": []}}),
)


def configs() -> list[dict[str, Any]]:
    """The configs of the catalogs."""
    found = (dict(model.config) for model in load_catalog().models.values())
    return [config for config in found if config]


def changed(config: dict[str, Any], other: dict[str, Any], choice: random.Random) -> dict[str, Any]:
    """`config` with one to three fields, at any depth, other than they were."""
    copy: dict[str, Any] = copied(config)
    for _ in range(choice.randint(1, 3)):
        at = copy
        while (inner := [v for v in at.values() if isinstance(v, dict) and v]) and (
            choice.random() < 0.5
        ):
            at = choice.choice(inner)
        key = choice.choice([*at, *other])
        match choice.randrange(5):
            case 0:
                at.pop(key, None)
            case 1 if key in other:
                at[key] = copied(other[key])
            case 2 if isinstance(at.get(key), list) and at[key]:
                items = list(at[key])
                items[choice.randrange(len(items))] = copied(choice.choice(VALUES))
                at[key] = items[: choice.randint(0, 2 * len(items))]
            case 3 if type(at.get(key)) is int:
                at[key] = max(0, at[key] + choice.choice([-1, 1, 7, at[key], -at[key] // 2]))
            case _:
                at[key] = copied(choice.choice(VALUES))
    return copy


def held(network: Architecture, tokens: int) -> int:
    """Bytes of the cache of one sequence."""
    return sum(group.bytes for group in cache_bytes(network, tokens))


def one_network(choice: random.Random, known: list[dict[str, Any]]) -> str:
    """Reads one changed config; what came of it."""
    config = changed(choice.choice(known), choice.choice(known), choice)
    try:
        vision_tower(config)
        network = architecture_from_config(flatten(config))
    except FactsError as error:
        return hinted(error, "config refused")
    total = parameters(network)
    assert 0 < active_parameters(network) <= total, config
    listed = sum(by_component(network).values())
    assert total <= listed <= total + mtp_parameters(network), config
    assert held(network, 1) <= held(network, 1000), config
    try:
        tensors = gguf_tensors(network)
    except FactsError as error:
        return hinted(error, "network read, its file not known")
    assert sum(tensor.elements for tensor in tensors) == listed, config
    return "network read"


def fuzz(inputs: int, seed: int) -> Counter[str]:
    """Reads `inputs` inputs, the same ones for a seed; how many came to which end."""
    known = configs()
    return ends_of(lambda choice, _: one_network(choice, known), inputs, seed)


if __name__ == "__main__":
    main(fuzz, __doc__, INPUTS)
