"""Blocks of a network in words: what mixes tokens, and the feed-forward network. Pure functions."""

from __future__ import annotations

from typing import assert_never

from planner.model.architecture import Compressed, Dense, FeedForward, Grouped, Latent, Mixer
from planner.model.architecture import MixtureOfExperts as Experts
from planner.model.recurrent import (
    GatedDelta,
    GatedRecurrence,
    KimiDelta,
    Lightning,
    Mamba,
    Mamba2,
    ShortConvolution,
)


def mixer_words(mixer: Mixer | None) -> str:
    """`latent attention, 64 heads, 512 + 64`: the latent and its rotary part."""
    match mixer:
        case None:
            return "no mixer"
        case Grouped():
            return _grouped(mixer)
        case Latent():
            words = f"latent attention, {mixer.heads} heads, {mixer.kv_rank} + "
            return words + str(mixer.rope_dim) + _indexed(mixer)
        case Compressed():
            return _compressed(mixer)
        case GatedDelta():
            heads = f"{mixer.key_heads} key and {mixer.value_heads} value heads"
            return f"gated delta net, {heads} of {mixer.key_dim} and {mixer.value_dim}"
        case KimiDelta():
            return f"delta attention, {mixer.heads} heads of {mixer.head_dim}"
        case Lightning():
            return f"linear attention, {mixer.heads} heads of {mixer.head_dim}"
        case Mamba():
            return f"state space, {mixer.inner:,} channels of {mixer.state} states"
        case Mamba2():
            return f"state space, {mixer.heads} heads of {mixer.head_dim}, {mixer.state} states"
        case ShortConvolution():
            return f"convolution over {mixer.kernel} tokens, {mixer.channels:,} channels"
        case GatedRecurrence():
            return f"gated recurrence, {mixer.width:,} channels"
        case _:
            assert_never(mixer)


def network_words(network: FeedForward | None) -> str:
    """`8 of 384 experts of 2,048 and a shared one`."""
    match network:
        case None:
            return "no feed-forward network"
        case Dense():
            return f"dense {network.intermediate:,}" + ("" if network.gated else " without a gate")
        case Experts():
            words = f"{network.used} of {network.experts} experts of {network.intermediate:,}"
            if network.shared_intermediate:
                words += f", shared {network.shared_intermediate:,}"
            if network.dense_intermediate:
                words += f", dense {network.dense_intermediate:,} beside"
            if network.latent:
                words += f", on a latent of {network.latent:,}"
            return words
        case _:
            assert_never(network)


def _grouped(mixer: Grouped) -> str:
    kind = "full attention" if mixer.window is None else f"window of {mixer.window:,}"
    heads = f"{mixer.heads} heads of {mixer.head_dim}, {mixer.kv_heads} K/V"
    return f"{kind}, {heads}{_indexed(mixer)}"


def _indexed(mixer: Grouped | Latent) -> str:
    if mixer.top_k is None:
        return ""
    chosen = "chosen" if mixer.indexer is not None else "chosen by an earlier layer"
    return f", {mixer.top_k:,} tokens {chosen}"


def _compressed(mixer: Compressed) -> str:
    words = f"shared K/V, {mixer.heads} heads of {mixer.head_dim}"
    if mixer.window is not None:
        words = f"window of {mixer.window:,}, {words}"
    return words + (f", groups of {mixer.ratio} tokens" if mixer.ratio else "")
