"""Networks that read text and write none: encoders, embedding models, translators. Model layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.errors import UnsupportedArchitecture

_HEADS = (
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
    "ForPreTraining",
)
"""Ends of the names of classes, in `architectures`, whose networks write no text."""

_TRUE = {
    "is_encoder_decoder": "an encoder beside its decoder",
    "use_bidirectional_attention": "attention to later tokens",
    "bidirectional": "attention to later tokens",
}
"""Flags of networks that are no decoders, and what they say."""

_FIELDS = ("type_vocab_size", "encoder_layers", "d_kv", "attention_probs_dropout_prob")
"""Fields that only encoders have."""


def why_no_text(config: Mapping[str, Any]) -> str | None:
    """Which field says that the network generates no text; None where none does."""
    for field, meaning in _TRUE.items():
        if config.get(field) is True:
            return f"'{field}' says {meaning}"
    classes = config.get("architectures")
    for name in classes if isinstance(classes, list) else ():
        if isinstance(name, str) and name.endswith(_HEADS):
            return f"'architectures' says {name[:60]}"
    for field in _FIELDS:
        if config.get(field) is not None:
            return f"it has the field '{field}'"
    return None


def no_text(reason: str) -> UnsupportedArchitecture:
    """The error that a network is no decoder, for `reason`."""
    return UnsupportedArchitecture(
        f"the network writes no text: {reason}",
        hint="networks that write text token by token are planned",
    )
