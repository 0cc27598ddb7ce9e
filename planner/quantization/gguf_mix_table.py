"""The mixes of GGUF files as tables: a base type, and per category of tensor what departs from it.

Quantization layer; read by `planner.quantization.gguf_mixes`. The rules are those of
`llama-quantize` without overrides (llama.cpp b11434, src/llama-quant.cpp). "Eighth" and the like
count transformer blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

Category = Literal[
    "output",
    "embedding",
    "value",
    "key",
    "query",
    "attention_output",
    "up",
    "gate",
    "down",
    "other",
]

MIXTRAL_EXPERTS = 8
"""Number of experts for which the quantizer has rules of its own."""
WIDE_GROUPS = 4
"""Query heads per KV head from which K and V are small enough to be given more bits."""


class MixFacts(NamedTuple):
    """What a mix asks about the network."""

    blocks: int
    """Transformer blocks in the file, MTP blocks included."""
    query_groups: int
    """Query heads per KV head by the file's header (latent attention states one KV head)."""
    experts: int = 0
    """Routed experts; 0 for a dense network."""
    is_70b: bool = False
    """Whether the engine takes it for a 70B."""


class Place(NamedTuple):
    """Where a tensor stands among those of its category, and what else a case may look at."""

    number: int
    total: int
    facts: MixFacts
    imatrix: bool


Condition = Callable[[Place], bool]
Case = tuple[tuple[Condition, ...], str]
"""The conditions that must all hold, and the storage type they give."""
Cases = tuple[Case, ...]
"""Tried in order; the base type where none holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """One mix: its base type and what departs from it."""

    base: str
    cases: Mapping[Category, Cases]
    output: str = "Q6_K"
    """Type of the output projection or a tied embedding; Q8_0 where the base does not fit."""
    embedding: str | None = None
    """Type of an untied token embedding; None is the base type."""
    two_bit: bool = False
    """One or two bits: each down projection counts by itself, and a 70B gets no extra."""
    flat: str | None = None
    """Type of all tensors that are not three-dimensional (experts are); None is by the cases."""


def first_eighth(place: Place) -> bool:
    """In the first eighth of the blocks."""
    return place.number < place.total // 8


def first_sixteenth(place: Place) -> bool:
    """In the first sixteenth of the blocks."""
    return place.number < place.total // 16


def first_two(place: Place) -> bool:
    """One of the first two."""
    return place.number < 2


def first_four(place: Place) -> bool:
    """One of the first four."""
    return place.number < 4


def middle(place: Place) -> bool:
    """Neither in the first nor in the last eighth."""
    return place.total // 8 <= place.number < 7 * place.total // 8


def more_bits(place: Place) -> bool:
    """In the first or last eighth, or every third between."""
    return not middle(place) or (place.number - place.total // 8) % 3 == 2


def wide(place: Place) -> bool:
    """Many query heads share one KV head."""
    return place.facts.query_groups >= WIDE_GROUPS


def many_experts(place: Place) -> bool:
    """At least four experts."""
    return place.facts.experts >= 4


def eight_experts(place: Place) -> bool:
    """Exactly eight experts."""
    return place.facts.experts == MIXTRAL_EXPERTS


def with_imatrix(place: Place) -> bool:
    """Quantized with an importance matrix."""
    return place.imatrix


def no_imatrix(place: Place) -> bool:
    """Quantized without an importance matrix."""
    return not place.imatrix


def _always(type_name: str) -> Cases:
    return (((), type_name),)


def _mix(
    base: str,
    *,
    value: Cases = (),
    key_query: Cases = (),
    attention_output: Cases = (),
    eight_output: str | None = None,
    gate_up: Cases = (),
    down: Cases = (),
    output: str = "Q6_K",
    embedding: str | None = None,
) -> Mix:
    """A mix above two bits.

    With exactly eight experts K and V are Q8_0 and the attention output is `eight_output` (None
    is the base type), whatever the other cases say.
    """
    eight_kv: Cases = (((eight_experts,), "Q8_0"),)
    eight_attention: Cases = (((eight_experts,), eight_output or base),)
    cases: dict[Category, Cases] = {
        "value": eight_kv + value,
        "key": eight_kv + key_query,
        "query": key_query,
        "attention_output": eight_attention + attention_output,
        "up": gate_up,
        "gate": gate_up,
        "down": down,
    }
    return Mix(base=base, cases=MappingProxyType(cases), output=output, embedding=embedding)


def _low_mix(base: str, *, careful: str, attention_output: str | None = None) -> Mix:
    """A mix of one or two bits, where `careful` is the type of what suffers most."""
    cases: dict[Category, Cases] = {
        "value": (((wide,), "Q4_K"), ((many_experts,), "Q4_K"), ((), careful)),
        "key": (((eight_experts,), "Q4_K"),),
        "attention_output": (((eight_experts,), "Q5_K"), ((), attention_output or base)),
        "down": (((first_eighth,), careful),),
    }
    return Mix(
        base=base,
        cases=MappingProxyType(cases),
        output="Q5_K",
        embedding=careful,
        two_bit=True,
    )


def _plain(base: str) -> Mix:
    """A mix without departures below eight experts."""
    return _mix(base)


_MORE_Q6: Cases = (((more_bits,), "Q6_K"),)
_WIDE_Q4: Cases = (((wide,), "Q4_K"),)
_WIDE_Q5: Cases = (((wide,), "Q5_K"),)
_IQ4_DOWN: Cases = (((first_eighth, no_imatrix), "Q5_K"),)

MIXES: Mapping[str, Mix] = MappingProxyType(
    {
        "IQ1_S": _low_mix("IQ1_S", careful="Q2_K", attention_output="IQ2_XXS"),
        "IQ1_M": _low_mix("IQ1_M", careful="Q2_K", attention_output="IQ2_XXS"),
        "IQ2_XXS": _low_mix("IQ2_XXS", careful="Q2_K"),
        "IQ2_XS": _low_mix("IQ2_XS", careful="Q2_K"),
        "IQ2_S": _low_mix("IQ2_XS", careful="IQ3_S", attention_output="IQ3_S"),
        "IQ2_M": _low_mix("IQ2_S", careful="IQ3_S", attention_output="IQ3_S"),
        "Q2_K_S": _mix("Q2_K", value=_WIDE_Q4, down=(((first_eighth,), "Q4_K"),)),
        "Q2_K": _mix(
            "Q2_K",
            value=(*_WIDE_Q4, ((), "Q3_K")),
            attention_output=_always("Q3_K"),
            eight_output="Q5_K",
            down=_always("Q3_K"),
        ),
        "IQ3_XXS": _mix(
            "IQ3_XXS",
            value=(*_WIDE_Q4, ((no_imatrix,), "IQ3_S")),
            key_query=_always("IQ2_S"),
            attention_output=_always("IQ3_S"),
            eight_output="Q5_K",
            down=(((first_eighth, no_imatrix), "Q4_K"), ((no_imatrix,), "Q3_K")),
            output="Q5_K",
            embedding="IQ3_S",
        ),
        "IQ3_XS": _mix(
            "IQ3_S",
            value=_WIDE_Q4,
            key_query=_always("IQ3_XXS"),
            eight_output="Q5_K",
            gate_up=(((middle,), "IQ3_XXS"),),
        ),
        "IQ3_S": _mix("IQ3_S", value=_WIDE_Q4, eight_output="Q5_K"),
        "IQ3_M": _mix(
            "IQ3_S",
            value=_always("Q4_K"),
            attention_output=_always("Q4_K"),
            eight_output="Q5_K",
            down=(((first_eighth,), "Q4_K"), ((eight_experts, more_bits), "Q4_K")),
        ),
        "Q3_K_S": _mix("Q3_K", eight_output="Q5_K"),
        "Q3_K_M": _mix(
            "Q3_K",
            value=(((first_two,), "Q5_K"), ((), "Q4_K")),
            attention_output=_always("Q4_K"),
            eight_output="Q5_K",
            down=(((first_sixteenth,), "Q5_K"), ((), "Q4_K")),
        ),
        "Q3_K_L": _mix(
            "Q3_K",
            value=_always("Q5_K"),
            attention_output=_always("Q5_K"),
            down=_always("Q5_K"),
        ),
        "IQ4_XS": _mix("IQ4_XS", value=_WIDE_Q5, eight_output="Q5_K", down=_IQ4_DOWN),
        "IQ4_NL": _mix("IQ4_NL", value=_WIDE_Q5, eight_output="Q5_K", down=_IQ4_DOWN),
        "Q4_0": _mix("Q4_0", down=(((first_eighth, with_imatrix), "Q4_1"),)),
        "Q4_1": _plain("Q4_1"),
        "Q4_K_S": _mix(
            "Q4_K",
            value=(((first_four,), "Q5_K"),),
            eight_output="Q5_K",
            down=(((first_eighth,), "Q5_K"),),
        ),
        "Q4_K_M": _mix("Q4_K", value=_MORE_Q6, eight_output="Q5_K", down=_MORE_Q6),
        "Q5_0": _mix("Q5_0", down=(((first_eighth, with_imatrix), "Q5_1"),)),
        "Q5_1": _plain("Q5_1"),
        "Q5_K_S": _plain("Q5_K"),
        "Q5_K_M": _mix("Q5_K", value=_MORE_Q6, down=_MORE_Q6),
        "Q6_K": _plain("Q6_K"),
        "Q8_0": _mix("Q8_0", output="Q8_0"),
        "MXFP4_MOE": Mix(base="MXFP4", cases=MappingProxyType({}), output="Q8_0", flat="Q8_0"),
        "F16": Mix(base="F16", cases=MappingProxyType({}), output="F16"),
        "BF16": Mix(base="BF16", cases=MappingProxyType({}), output="BF16"),
        "F32": Mix(base="F32", cases=MappingProxyType({}), output="F32"),
    }
)
"""Every mix by the name `llama-quantize` gives it."""
