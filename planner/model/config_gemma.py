"""Weights of Gemma 3n and of Gemma 4 E2B and E4B beside those of other networks. Model layer.

Source: the reference modules of Hugging Face transformers 5.24.
"""

from __future__ import annotations

from planner.errors import UnsupportedArchitecture
from planner.model.config_fields import Fields
from planner.model.extra import Extra


def layer_inputs(read: Fields, layer: int) -> tuple[Extra, ...]:
    """A gate and a projection of the embedding of this layer (Gemma 3n, Gemma 4 E2B and E4B)."""
    width, hidden = read.optional("hidden_size_per_layer_input"), read.count("hidden_size")
    if width is None:
        return ()
    return (
        Extra(role="per_layer_input_gate", shape=(width, hidden), component="dense", linear=True),
        Extra(role="per_layer_projection", shape=(hidden, width), component="dense", linear=True),
        Extra(role="post_per_layer_input_norm", shape=(hidden,)),
    )


def layer_embeddings(read: Fields) -> tuple[Extra, ...]:
    """An embedding per layer beside that of the network, and what joins both."""
    width = read.optional("hidden_size_per_layer_input")
    if width is None:
        return ()
    rows = read.count("vocab_size_per_layer_input", default=read.count("vocab_size"))
    columns = width * read.count("num_hidden_layers")
    joined = (columns, read.count("hidden_size"))
    return (
        Extra(role="embed_tokens_per_layer", shape=(rows, columns), component="embedding"),
        Extra(role="per_layer_model_projection", shape=joined, component="embedding", linear=True),
        Extra(role="per_layer_projection_norm", shape=(width,)),
    )


def altup(read: Fields, layer: int) -> tuple[Extra, ...]:
    """Alternating updates of several copies of the hidden state (Gemma 3n)."""
    copies, hidden = _copies(read), read.count("hidden_size")
    return (
        Extra(role="altup.correct_output_scale", shape=(hidden,)),
        Extra(role="altup.correction_coefs", shape=(copies, copies)),
        Extra(role="altup.prediction_coefs", shape=(copies * copies, copies)),
        Extra(role="altup.modality_router", shape=(copies, hidden)),
        Extra(role="altup.router_norm", shape=(hidden,)),
    )


def _copies(read: Fields) -> int:
    copies = read.count("altup_num_inputs")
    if copies > _MOST_COPIES:
        raise UnsupportedArchitecture(
            f"config field 'altup_num_inputs' is {copies}", hint=f"up to {_MOST_COPIES} are read"
        )
    return copies


_MOST_COPIES = 64


def altup_projections(read: Fields) -> tuple[Extra, ...]:
    """From one copy of the hidden state to each other one, and back."""
    copies, hidden = _copies(read), read.count("hidden_size")
    names = ("altup_projections", "altup_unembed_projections")
    return tuple(
        Extra(role=f"{name}.{copy}", shape=(hidden, hidden), component="embedding", linear=True)
        for name in names
        for copy in range(copies - 1)
    )


def laurel(read: Fields, layer: int) -> tuple[Extra, ...]:
    """A path of low rank beside the attention (Gemma 3n)."""
    rank, hidden = read.count("laurel_rank"), read.count("hidden_size")
    return (
        Extra(role="laurel.linear_left", shape=(rank, hidden), component="dense", linear=True),
        Extra(role="laurel.linear_right", shape=(hidden, rank), component="dense", linear=True),
        Extra(role="laurel.post_laurel_norm", shape=(hidden,)),
    )
