"""One weight tensor of a network, or several alike. Data only; what a network has is `network`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from planner.model.components import Component

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One tensor of a block or of the frame around the blocks; or as many alike as `copies`."""

    role: str
    """What it is, as Hugging Face modules of most families name it: `self_attn.q_proj`,
    `mlp.experts.gate_proj`, `input_layernorm`, `embed_tokens`; biases end in `.bias`."""
    shape: Shape
    """Outputs first: (rows, columns) of a matrix; one number of a vector."""
    component: Component
    copies: int = 1
    """Tensors of this shape: one per routed expert."""
    linear: bool = False
    """Whether tokens are multiplied with it as a matrix, so that formats may quantize it;
    embeddings, convolutions and tables of a state are not."""

    @property
    def elements(self) -> int:
        """Weights in all copies."""
        return self.copies * math.prod(self.shape)


def matrix(role: str, rows: int, columns: int, component: Component, copies: int = 1) -> Part:
    """A linear layer from `columns` channels to `rows`."""
    return Part(role, (rows, columns), component, copies, linear=True)


def norm(role: str, width: int) -> Part:
    """The weights of a norm over `width` channels."""
    return Part(role, (width,), "norm")


def bias(of: Part) -> Part:
    """The bias of a linear layer, one number per row."""
    return Part(f"{of.role}.bias", of.shape[:1], of.component, of.copies)


def biased(parts: tuple[Part, ...], present: bool) -> tuple[Part, ...]:
    """The linear layers, each followed by its bias where there are `present` ones."""
    return tuple(each for part in parts for each in ((part, bias(part)) if present else (part,)))
