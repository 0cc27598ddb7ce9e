"""A weight beside those of the known mechanisms, as data. Model layer.

What only one family has, and what no engine's rules ask for: learned positions, norms inside a
feed-forward network, factors of an activation. It is counted and sized like any other weight.
"""

from __future__ import annotations

from planner.model.components import Component
from planner.model.part import Part
from planner.values import Value


class Extra(Value):
    """One tensor of a block or of the frame around the blocks."""

    role: str
    """As modules of Hugging Face transformers name it, from the block on."""
    shape: tuple[int, ...]
    """Outputs first: (rows, columns) of a matrix; one number of a vector."""
    component: Component = "norm"
    linear: bool = False
    """Whether tokens are multiplied with it as a matrix."""

    @property
    def part(self) -> Part:
        """It among all weights."""
        return Part(self.role, self.shape, self.component, linear=self.linear)
