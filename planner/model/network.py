"""Every weight tensor of a network, part by part, whatever a file calls it.

Model layer. The one list from which parameters are counted and files of all formats are sized:
the parts of a block, and those of the frame around the blocks.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import replace

from planner.model.architecture import (
    Architecture,
    Compressed,
    Grouped,
    Latent,
    Layer,
    Mixer,
    MixtureOfExperts,
)
from planner.model.attention_parts import compressed_parts, grouped_parts, latent_parts
from planner.model.feed_forward_parts import feed_forward_parts
from planner.model.part import Part as Part
from planner.model.part import Shape as Shape
from planner.model.part import bias, matrix, norm
from planner.model.recurrent_parts import recurrent_parts


@functools.lru_cache(maxsize=1024)
def block_parts(architecture: Architecture, layer: Layer) -> tuple[Part, ...]:
    """The weights of one block: norms, mixer, feed-forward network, and what mixes residuals.

    Those of an MTP block have the roles of any block and its extras, all of component `mtp`.
    """
    hidden, vocabulary = architecture.hidden, architecture.vocabulary
    parts = [*_block_norms(architecture, layer)]
    if layer.mixer is not None:
        parts += mixer_parts(hidden, layer.mixer)
    if layer.network is not None:
        parts += feed_forward_parts(hidden, vocabulary, layer.network)
    if layer.beside is not None:
        parts += recurrent_parts(hidden, layer.beside)
    parts += [extra.part for extra in layer.extras]
    parts += _between_residuals(architecture)
    if architecture.layer_scale:
        parts.append(Part("layer_scalar", (1,), "norm"))
    if layer.mtp:
        parts = [replace(part, component="mtp") for part in (*parts, *_mtp(architecture))]
    return tuple(parts)


@functools.lru_cache(maxsize=256)
def frame_parts(architecture: Architecture) -> tuple[Part, ...]:
    """The weights outside blocks: embedding, last norm, output projection unless tied."""
    hidden, vocabulary = architecture.hidden, architecture.vocabulary
    width = architecture.embedding_width or hidden
    parts = [
        Part("embed_tokens", (vocabulary, width), "embedding"),
        *(_norm(architecture, "norm") if architecture.final_norm else ()),
        *_streams_joined(architecture, ""),
    ]
    if architecture.residual_attention:
        parts += _weighing("output_attn_res", hidden)
    output = matrix("lm_head", vocabulary, width, "output")
    if not architecture.tied:
        parts.append(output)
    if architecture.output_bias:
        parts.append(bias(output))
    parts += [extra.part for extra in architecture.extras]
    return tuple(parts)


def distinct_blocks(layers: tuple[Layer, ...]) -> tuple[tuple[Layer, int], ...]:
    """Each block that is unlike the others, and how often it occurs."""
    return tuple(Counter(layers).items())


def mixer_parts(hidden: int, mixer: Mixer) -> tuple[Part, ...]:
    """The weights of one mixer on a hidden state of `hidden` channels."""
    match mixer:
        case Grouped():
            return grouped_parts(hidden, mixer)
        case Latent():
            return latent_parts(hidden, mixer)
        case Compressed():
            return compressed_parts(hidden, mixer)
        case _:
            return recurrent_parts(hidden, mixer)


def _block_norms(architecture: Architecture, layer: Layer) -> list[Part]:
    """Norms before, and in some networks after, the mixer and the feed-forward network."""
    roles = []
    if (layer.mixer is not None or architecture.parallel) and layer.input_norm:
        roles.append("input_layernorm")
    if architecture.post_norms:
        if layer.mixer is not None:
            roles.append("post_attention_layernorm")
        if layer.network is not None:
            roles += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
    elif layer.network is not None and not architecture.parallel:
        roles.append("post_attention_layernorm")
    if isinstance(layer.network, MixtureOfExperts):
        roles += [f"experts_layernorm_{i + 1}" for i in range(architecture.expert_norms)]
    return [part for role in roles for part in _norm(architecture, role)]


def _norm(architecture: Architecture, role: str) -> tuple[Part, ...]:
    if not architecture.norm_weights:
        return ()
    part = norm(role, architecture.hidden)
    return (part, bias(part)) if architecture.norm_bias else (part,)


def _between_residuals(architecture: Architecture) -> list[Part]:
    """What weighs earlier residuals, or mixes residual streams, around both parts of a block."""
    parts: list[Part] = []
    if architecture.residual_attention:
        for where in ("self_attention_res", "mlp_res"):
            parts += _weighing(where, architecture.hidden)
    streams = architecture.residual_streams
    if streams == 1:
        return parts
    mixes = streams * (2 + streams)
    for where in ("hc_attn", "hc_ffn"):
        parts += [
            Part(f"{where}_fn", (mixes, streams * architecture.hidden), "norm"),
            Part(f"{where}_base", (mixes,), "norm"),
            Part(f"{where}_scale", (3,), "norm"),
        ]
    return parts


def _weighing(where: str, hidden: int) -> tuple[Part, ...]:
    """A weighing of earlier residuals: one row of a projection, and a norm."""
    return Part(f"{where}_proj", (1, hidden), "norm"), norm(f"{where}_norm", hidden)


def _streams_joined(architecture: Architecture, where: str) -> tuple[Part, ...]:
    """Weights that join the residual streams into one."""
    streams, name = architecture.residual_streams, f"{where}hc_head_"
    if streams == 1 or architecture.streams_summed:
        return ()
    return (
        Part(f"{name}fn", (streams, streams * architecture.hidden), "norm"),
        Part(f"{name}base", (streams,), "norm"),
        Part(f"{name}scale", (1,), "norm"),
    )


_MTP_NORMS = ("mtp.enorm", "mtp.hnorm", "mtp.shared_head.norm")
"""Of the embedding, the hidden state and the result, as far as `mtp_norms` goes."""


def _mtp(architecture: Architecture) -> list[Part]:
    """What an MTP block has beside a block's own weights.

    One matrix takes embedding and hidden state together, or one each (DeepSeek V4).
    """
    hidden, vocabulary = architecture.hidden, architecture.vocabulary
    inputs = (
        ("mtp.eh_proj",) if architecture.residual_streams == 1 else ("mtp.e_proj", "mtp.h_proj")
    )
    parts = [matrix(role, hidden, 2 * hidden // len(inputs), "mtp") for role in inputs]
    for role in _MTP_NORMS[: architecture.mtp_norms]:
        parts += _norm(architecture, role)
    parts += _streams_joined(architecture, "mtp.")
    if architecture.mtp_own_embedding:
        parts.append(Part("mtp.embed_tokens", (vocabulary, hidden), "mtp"))
    if architecture.mtp_own_head:
        parts.append(matrix("mtp.shared_head.head", vocabulary, hidden, "mtp"))
    return parts
