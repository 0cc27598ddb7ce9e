"""Weights that networks which read text and write none have beside others. Model layer.

Source: the reference modules of Hugging Face transformers 5.24.
"""

from __future__ import annotations

from planner.model.config_fields import Fields
from planner.model.extra import Extra


def token_types(read: Fields) -> tuple[Extra, ...]:
    """A row for each kind of text in the input, of which most networks know one or two."""
    rows = read.optional("type_vocab_size")
    if rows is None:
        return ()
    return (
        Extra(
            role="token_type_embeddings",
            shape=(rows, read.count("hidden_size")),
            component="embedding",
        ),
    )


def encoder_head(read: Fields) -> tuple[Extra, ...]:
    """Of a model for embeddings a pooler, of one that fills gaps a transform and an output bias."""
    hidden = read.count("hidden_size")
    square = (hidden, hidden)
    if not _fills_gaps(read):
        return (
            Extra(role="pooler.dense", shape=square, component="output", linear=True),
            Extra(role="pooler.dense.bias", shape=(hidden,), component="output"),
            *_classifier(read, hidden),
        )
    vocabulary = read.count("vocab_size")
    tied = read.flag("tie_word_embeddings", default=True)
    return (
        Extra(role="lm_head.dense", shape=square, component="output", linear=True),
        Extra(role="lm_head.dense.bias", shape=(hidden,), component="output"),
        Extra(role="lm_head.layer_norm", shape=(hidden,)),
        Extra(role="lm_head.layer_norm.bias", shape=(hidden,)),
        Extra(role="lm_head.bias", shape=(vocabulary,), component="output"),
        *(() if tied else (Extra(role="decoder.bias", shape=(vocabulary,), component="output"),)),
    )


def _classifier(read: Fields, hidden: int) -> tuple[Extra, ...]:
    """A score per label behind the pooler, of rerankers one."""
    classes = read.items("architectures")
    if not any(str(name).endswith("ForSequenceClassification") for name in classes):
        return ()
    labels = len(read.fields("id2label")) or read.count("num_labels", default=2)
    return (
        Extra(role="classifier", shape=(labels, hidden), component="output", linear=True),
        Extra(role="classifier.bias", shape=(labels,), component="output"),
    )


def _fills_gaps(read: Fields) -> bool:
    classes = read.items("architectures")
    return any(
        str(name).endswith(("ForMaskedLM", "ForCausalLM", "LMHeadModel")) for name in classes
    )


def modern_head(read: Fields) -> tuple[Extra, ...]:
    """ModernBERT: only models that fill gaps have one, its norm without a bias."""
    if not _fills_gaps(read):
        return ()
    hidden = read.count("hidden_size")
    return (
        Extra(role="head.dense", shape=(hidden, hidden), component="output", linear=True),
        Extra(role="head.norm", shape=(hidden,)),
        Extra(role="decoder.bias", shape=(read.count("vocab_size"),), component="output"),
    )


def embedding_norm_plain(read: Fields) -> tuple[Extra, ...]:
    """A norm behind the embedding, without a bias."""
    return (Extra(role="embeddings.norm", shape=(read.count("hidden_size"),)),)
