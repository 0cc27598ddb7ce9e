"""Which matrices of a network a checkpoint quantizes, and how. Data and matching of names.

Quantization layer. What modules are called is the model's matter: it gives every name a module
may go by, and a rule holds if one of them matches.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from planner.errors import FactsError
from planner.quantization.checkpoint_formats import Plain
from planner.quantization.checkpoint_mixed import Format

PATTERN_LIMIT = 400
"""Characters of one pattern."""

REPEAT_LIMIT = 6
"""Repeats without end in one pattern, `*` or `+`; more take too long to match."""

_NESTED_REPEAT = re.compile(r"\([^)]*[*+}][^)]*\)\s*[*+{]")
"""A repeat of a repeat, which can take for ever to match."""

_OUTER = ("", "model.", "model.language_model.", "language_model.model.", "backbone.")
"""What checkpoints write before `layers.`."""

_LAYER = re.compile(r"^(?:(?:model|language_model|backbone|text_model|transformer)\.)+(?=layers\.)")

KEPT = (
    "mlp.gate",
    "mlp.shared_expert_gate",
    "mlp.fc1_latent_proj",
    "mlp.fc2_latent_proj",
    "linear_attn.in_proj_a",
    "linear_attn.in_proj_b",
    "self_attn.indexer.weights_proj",
    "self_attn.compressor.",
    "self_attn.indexer.compressor.",
    "mtp.eh_proj",
    "mtp.shared_head.head",
    "lm_head",
)
"""Roles that publishers keep, whether their configs say so or not: routers and gates, projections
to the latent of experts (Kimi K3), decays of linear attention (Qwen3.5), weights of index heads
(DeepSeek V3.2), compressors (V4), what joins and ends MTP blocks (V3), and the output projection.
A final dot means all roles that start so."""

KEPT_BUT_HEAD = tuple(role for role in KEPT if role != "lm_head")
"""Roles kept where the output projection is quantized too, or the config lists it if it is not."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Modules by name, and how they are stored; None keeps them as they are."""

    names: frozenset[str]
    """Full names from `layers.` on; those of parents count for all modules below."""
    pattern: str
    """Regular expression of the whole name; empty matches nothing."""
    format: Format | None
    by_expert: bool = False
    """Whether it tells experts of one layer apart."""

    def matches(self, names: tuple[str, ...]) -> bool:
        """Whether a module that goes by `names` is meant."""
        if self.names and any(part in self.names for name in names for part in _parents(name)):
            return True
        if not self.pattern:
            return False
        whole = _compiled(self.pattern)
        return any(whole.fullmatch(outer + name) for name in names for outer in _OUTER)


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a checkpoint stores the linear layers of a network, and everything else."""

    name: str
    """What people call it."""
    targets: tuple[tuple[str, Format], ...] = ()
    """Start of a role, and how such linear layers are stored; the first that fits counts."""
    rules: tuple[Rule, ...] = ()
    """By module name; the first that fits counts, before `kept` and `targets`."""
    kept: tuple[str, ...] = KEPT
    """Roles that `targets` do not reach."""
    tables: Format | None = None
    """How embeddings are stored; None keeps them."""
    dtype: str = "BF16"
    """Safetensors type of what is kept."""
    kv_scales: bool = False
    """Each attention layer has a scale of its K and one of its V."""

    def format_of(self, role: str, names: tuple[str, ...]) -> Format:
        """How the linear layer in `role`, which goes by `names`, is stored."""
        for rule in self.rules:
            if rule.matches(names):
                return rule.format or Plain(self.dtype)
        if any(
            role == kept or (kept.endswith(".") and role.startswith(kept)) for kept in self.kept
        ):
            return Plain(self.dtype)
        found = (form for start, form in self.targets if role.startswith(start))
        return next(found, Plain(self.dtype))

    def table_format(self, names: tuple[str, ...]) -> Format | None:
        """How an embedding, which goes by `names`, is stored; None keeps it."""
        if self.tables is None:
            return None
        found = (rule.format for rule in self.rules if rule.matches(names))
        return next(found, self.tables)

    @property
    def by_expert(self) -> bool:
        """Whether experts of one layer may be stored in different ways."""
        return any(rule.by_expert for rule in self.rules)


def rule(
    format: Format | None,
    *,
    names: Iterable[str] = (),
    globs: Iterable[str] = (),
    patterns: Iterable[str] = (),
) -> Rule:
    """A rule from module names, names with `*`, and regular expressions that match from the start.

    Names also count where a module's name ends in them after a dot, and for modules below.

    Raises:
        FactsError: a pattern that is not understood.
    """
    exact: set[str] = set()
    sources: list[str] = []
    for name in names:
        stripped = from_layers(name)
        if stripped.startswith("layers."):
            exact.add(stripped)
        else:
            sources.append(rf"(?:.*\.)?{re.escape(stripped)}(?:\..*)?")
    for glob in globs:
        _check(re.escape(glob).replace(r"\*", "*"))
        inner = from_layers(glob)
        sources.append(".*".join(re.escape(part) for part in inner.split("*")) + r"(?:\..*)?")
    for pattern in patterns:
        _check(pattern)
        _require_expression(pattern)
        sources.append(f"(?:{pattern}).*")
    by_expert = any(re.search(r"experts(?:\\?\.)\[?\d", text) for text in (*exact, *sources))
    return Rule(frozenset(exact), "|".join(dict.fromkeys(sources)), format, by_expert)


def from_layers(name: str) -> str:
    """A module's name from `layers.` on, whatever the model's outer modules are called."""
    return _LAYER.sub("", name.removesuffix("."))


def _parents(name: str) -> Iterable[str]:
    """The name and those of all modules around it, as far as the layer."""
    yield name
    while (cut := name.rfind(".")) > 0:
        name = name[:cut]
        yield name


def _check(pattern: str) -> None:
    """Refuses patterns that may take too long to match."""
    repeats = pattern.count("*") + pattern.count("+")
    if len(pattern) > PATTERN_LIMIT or repeats > REPEAT_LIMIT or _NESTED_REPEAT.search(pattern):
        raise FactsError(
            f"pattern of module names not understood: {pattern[:60]!r}",
            hint=f"patterns of up to {PATTERN_LIMIT} characters and {REPEAT_LIMIT} repeats, none of"
            " them of a repeat, are",
        )


def _require_expression(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise FactsError(
            f"pattern of module names not understood: {pattern[:60]!r}: {error}",
            hint="take the config.json the publisher ships",
        ) from error


@functools.lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
