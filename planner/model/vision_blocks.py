"""What image encoders have in common: blocks, patches and places. Model layer."""

from __future__ import annotations

from dataclasses import dataclass

from planner.model.config_fields import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A transformer block of an encoder; all its blocks are alike."""

    hidden: int
    intermediate: int
    inner: int | None = None
    """Channels of all query heads; None is as many as of the hidden state."""
    kv: int | None = None
    """Channels of all key heads, and as many of all value heads; None as well."""
    gated: bool = False
    bias: bool = True
    """Biases on Q, K and V."""
    output_bias: bool = True
    mlp_bias: bool = True
    norm_bias: bool = True
    norms: int = 2
    extra: int = 0
    """Weights of layer scales, gates and norms on Q and K."""

    @property
    def weights(self) -> int:
        """Weights of one block."""
        hidden, width = self.hidden, self.intermediate
        inner = hidden if self.inner is None else self.inner
        kv = hidden if self.kv is None else self.kv
        ups = width * (2 if self.gated else 1)
        attention = 2 * hidden * (inner + kv)
        biases = self.bias * (inner + 2 * kv) + self.output_bias * hidden
        network = hidden * (ups + width) + self.mlp_bias * (ups + hidden)
        return attention + biases + network + self.norms * norm(hidden, self.norm_bias) + self.extra


def norm(width: int, bias: bool) -> int:
    """Weights of a norm over `width` channels."""
    return width * (2 if bias else 1)


def square_patches(read: Fields) -> int:
    """Patches of an image of `image_size`."""
    return (read.alike("image_size") // read.alike("patch_size")) ** 2


def width_of(read: Fields) -> int:
    """Channels of the hidden state."""
    return read.count("hidden_size")


def full_block(read: Fields) -> Block:
    """A block of full heads with all biases and no gate, as most encoders have."""
    return Block(hidden=width_of(read), intermediate=read.count("intermediate_size"))


def patch_weights(read: Fields, *, bias: bool, frames: int = 1, hidden: int | None = None) -> int:
    """The convolution from pixels to the hidden state."""
    pixels = read.count("in_channels", "in_chans", "num_channels", default=3)
    size = read.alike("patch_size")
    width = hidden or width_of(read)
    return width * pixels * frames * size * size + width * bias


def depth_of(read: Fields) -> int:
    """Blocks of the encoder."""
    return read.count("depth", "num_hidden_layers")


def frames_of(read: Fields) -> int:
    """Frames of a video in one patch."""
    return read.count("temporal_patch_size", default=2)


def places_of(read: Fields) -> int:
    """Rows of a table of places, height by width."""
    high = read.count("init_pos_emb_height", "pos_emb_height", default=64)
    return high * read.count("init_pos_emb_width", "pos_emb_width", default=64)
