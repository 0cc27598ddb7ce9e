"""Layouts that one rule alone refuses, for the tests of both engines' rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import pytest

from planner.catalog.load import load_catalog
from planner.engines.grid import Grid, Options, Place
from planner.model.architecture import (
    Architecture,
    Dense,
    FeedForward,
    Grouped,
    Layer,
    Mixer,
    MixtureOfExperts,
)
from planner.model.huggingface import architecture_from_config
from planner.quantization.checkpoint_mixed import Format
from planner.quantization.default_schemes import default_scheme
from planner.quantization.scheme import Scheme
from tests.unit.engines.small_networks import BF16, FULL, network

QWEN, KIMI, GPT_OSS = "qwen3-235b", "kimi-k2", "gpt-oss-120b"
EXPERTS = MixtureOfExperts(experts=128, used=8, intermediate=1536)
FP8 = default_scheme("FP8", experts=True)
SMALL = network(FULL, FULL)
ALONE = Grid()
HOPPERS = Place(family="cuda", capability=(9, 0), gpus_per_machine=8, gpus=64)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A layout that is asked about; what is not given is harmless."""

    version: str
    architecture: Architecture = SMALL
    scheme: Scheme = BF16
    grid: Grid = ALONE
    options: Options | None = None
    place: Place = HOPPERS

    def but(self, **changes: Any) -> Asked:
        """The same with changes: of the fields, or of those of grid, options and place."""
        grid, place = self.grid, self.place
        options = self.options or Options(context=4096, version=self.version)
        own: dict[str, Any] = {}
        for name, value in changes.items():
            if name in Grid.__slots__:
                grid = replace(grid, **{name: value})
            elif name in Options.__slots__:
                options = replace(options, **{name: value})
                own |= {name: value} if name == "version" else {}
            elif name in Place.__slots__:
                place = replace(place, **{name: value})
            else:
                own[name] = value
        return replace(self, **{"grid": grid, "options": options, "place": place, **own})

    def reasons(self, rules: ModuleType) -> tuple[str, ...]:
        """Why the engine refuses it."""
        asked = self.but()
        found: tuple[str, ...] = rules.illegal(
            asked.architecture, asked.scheme, asked.grid, asked.options, asked.place
        )
        return found

    def notes(self, rules: ModuleType) -> tuple[str, ...]:
        """What the engine's rules note of it."""
        asked = self.but()
        found: tuple[str, ...] = rules.notes(
            asked.architecture, asked.scheme, asked.grid, asked.options, asked.place
        )
        return found


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A layout that one rule refuses, and one like it that all accept."""

    rule: str
    words: str
    refused: dict[str, Any]
    accepted: dict[str, Any]


def check_refusal(
    rules: ModuleType, base: Asked, case: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule refuses in these words, nothing else does, and the neighbour is legal."""
    refused = base.but(**case.refused)
    assert any(case.words in reason for reason in refused.reasons(rules))
    assert base.but(**case.accepted).reasons(rules) == ()
    others = tuple(rule for rule in rules.RULES if rule.name != case.rule)
    assert len(others) == len(rules.RULES) - 1
    monkeypatch.setattr(rules, "RULES", others)
    assert refused.reasons(rules) == ()


def model(name: str) -> Architecture:
    """The network of a catalog model."""
    return architecture_from_config(load_catalog().model(name).config)


def mixed(*mixers: Mixer, network_of: FeedForward = EXPERTS) -> Architecture:
    """A small network of such blocks, with experts."""
    return network(*mixers).model_copy(
        update={
            "hidden": 4096,
            "layers": tuple(Layer(mixer=x, network=network_of) for x in mixers),
        }
    )


def dense(intermediate: int, **attention: Any) -> Architecture:
    """One block with a dense network of this width."""
    mixer = FULL.model_copy(update=attention)
    return network(mixer).model_copy(
        update={"layers": (Layer(mixer=mixer, network=Dense(intermediate=intermediate)),)}
    )


def stored(form: Format) -> Scheme:
    """A checkpoint with all linear layers in one format."""
    return Scheme("test", (("", form),))


MOE = mixed(Grouped(heads=64, kv_heads=4, head_dim=128))
