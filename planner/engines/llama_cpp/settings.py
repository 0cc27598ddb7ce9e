"""The llama.cpp settings that change memory, and the token counts that follow from them.

Source: behaviour of builds b10434 and b11434, compared with their own memory tables
(`tests/reality/llama_*.csv`).
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.units import padded

CELL_PADDING = 256
"""The cache is allocated in steps of so many cells."""
DEFAULT_SLOTS = 4
"""What llama-server uses when `-np` is not given; these slots share one pool (unified)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Flags that change memory; with what one build does differently from another."""

    context: int
    """`-c` as typed: the pool of all slots, tokens."""
    slots: int = 1
    """`-np`. Left out, the server takes `DEFAULT_SLOTS` unified ones."""
    unified: bool = False
    """`-kvu`: the slots share one pool instead of an equal private part each."""
    ubatch: int = 512
    """`-ub`, tokens."""
    batch: int = 2048
    """`-b`, tokens."""
    flash_attention: bool = True
    key_type: str = "f16"
    value_type: str = "f16"
    swa_full: bool = False
    """`--swa-full`: sliding-window layers keep all tokens."""
    tensor_rules: bool = False
    """Any `-ot`, which turns pipelining off."""
    rpc_pipelines: bool
    """Whether the build pipelines over RPC devices (b11434 does, b10434 does not)."""
    mtp_has_kv: bool
    """Whether the build gives MTP blocks a cache (b10434 does, b11434 does not)."""

    @property
    def step_tokens(self) -> int:
        """Tokens of one step: `-ub`, no larger than `-b` and `-c`."""
        return min(self.ubatch, self.batch, self.context)

    @property
    def rows(self) -> int:
        """Tokens the graph is sized for: a step's, in equal parts for every slot."""
        return padded(self.step_tokens, self.slots)

    @property
    def streams(self) -> int:
        """Separate caches per layer."""
        return 1 if self.unified else self.slots

    @property
    def quantized_cache(self) -> bool:
        """Whether K or V is stored in blocks with a scale."""
        return not {self.key_type, self.value_type} <= {"f32", "f16", "bf16"}

    def cells(self, window: int | None = None) -> int:
        """Tokens one stream of a layer's cache holds.

        Full attention: the pool, or a slot's part of it, in steps of `CELL_PADDING`. Sliding
        window: the window of each slot in the stream and one step, never more than the former.
        """
        pool = padded(self.context, CELL_PADDING)
        full = pool if self.unified else padded(pool // self.slots, CELL_PADDING)
        if window is None or self.swa_full:
            return full
        sequences = self.slots if self.unified else 1
        return min(full, padded(window * sequences + self.step_tokens, CELL_PADDING))
