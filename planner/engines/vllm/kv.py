"""What a rank's KV cache is made of: groups of layers that share blocks of one size.

Engines layer. A block is a number of tokens of all layers of a group; groups of unlike layers get
pages of one size and draw blocks from one pool, whose size the smallest rank sets.

Source: vllm/v1/core/kv_cache_utils.py and kv_cache_interface.py of 0.19.0 and 0.32.0, and
`_align_hybrid_block_size` of vllm/platforms/interface.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from planner.engines.pages import Keeps, KvType, LayerPage, layer_page
from planner.engines.vllm.versions import TokenCount
from planner.model.architecture import Architecture, Latent, Layer
from planner.units import padded

GROUPED_BLOCK = 16
"""Tokens of a block of attention kernels."""
LATENT_BLOCK = 64
"""Of FlashMLA and of all sparse kernels; others take 16, which changes a pool by 48 tokens."""
PADDED_GROUPS = Fraction(3, 2)
"""Below this ratio of layer counts, groups are as large as the larger count."""


@dataclass(frozen=True, slots=True)
class Group:
    """Layers with one block table."""

    keeps: Keeps
    layers: tuple[int, ...]
    block: int
    """Tokens of a block."""
    window: int | None = None

    def blocks(self, tokens: int, in_flight: int, context_parallel: int) -> int:
        """Blocks a sequence of `tokens` tokens takes at most, `in_flight` of them not done yet.

        A window may begin inside a block, hence one more.
        """
        match self.keeps:
            case "state":
                return 1
            case "window":
                kept = min((self.window or 1) - 1 + in_flight, tokens)
                return -(-kept // self.block) + 1
            case "all":
                return -(-tokens // (context_parallel * self.block))


@dataclass(frozen=True, slots=True)
class CachePlan:
    """The groups of a whole network, and how sequences use them."""

    groups: tuple[Group, ...]
    in_flight: int
    """Tokens scheduled at once."""
    context_parallel: int
    counting: TokenCount
    pages: tuple[tuple[int, int], ...]
    """Layer and bytes of its block."""

    def block_bytes(self, layers: Iterable[int]) -> int:
        """Bytes of one block on a rank that has `layers` of the network."""
        held = frozenset(layers)
        size = dict(self.pages)
        return max(
            (sum(size[x] for x in group.layers if x in held) for group in self.groups), default=0
        )

    def blocks_per_sequence(self, tokens: int) -> int:
        """Blocks of all groups that one sequence of `tokens` tokens takes."""
        return sum(
            group.blocks(tokens, self.in_flight, self.context_parallel) for group in self.groups
        )

    def sequences(self, blocks: int, tokens: int) -> float:
        """Sequences of `tokens` tokens that `blocks` blocks hold."""
        each = self.blocks_per_sequence(tokens)
        return blocks / each if each else 0.0

    def tokens(self, blocks: int, context: int) -> int:
        """Tokens as the engine prints them for `--max-model-len` of `context`."""
        if not self.groups:
            return 0
        if self.counting == "concurrency":
            each = self.blocks_per_sequence(context)
            return blocks * context // each
        block = min(group.block for group in self.groups)
        return blocks // len(self.groups) * block * self.context_parallel

    def longest(self, blocks: int, most: int) -> int:
        """The longest sequence up to `most` tokens that `blocks` blocks hold; 0 if none does."""
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            if self.blocks_per_sequence(middle) <= blocks:
                low = middle
            else:
                high = middle - 1
        return low


def cache_plan(
    architecture: Architecture,
    *,
    tensor_parallel: int,
    kv_type: KvType,
    in_flight: int,
    context_parallel: int = 1,
    counting: TokenCount = "concurrency",
    speculative: bool = False,
) -> CachePlan:
    """Groups of a network's layers; MTP blocks count where they draft tokens.

    Raises:
        UnsupportedArchitecture: compressed attention, whose pages there are no rules for.
    """
    layers = _cached(architecture, speculative=speculative)
    pages = {
        index: page
        for index, layer in enumerate(layers)
        if (page := layer_page(layer.mixer, tensor_parallel, kv_type)) is not None
    }
    latent = any(isinstance(layer.mixer, Latent) for layer in layers)
    block = _block(pages.values(), LATENT_BLOCK if latent else GROUPED_BLOCK)
    kinds = {(page.keeps, page.window) for page in pages.values()}
    grouped = _one_group if len(kinds) <= 1 else _unlike_groups
    groups, sizes = grouped(pages, block)
    return CachePlan(groups, in_flight, context_parallel, counting, tuple(sizes.items()))


def _cached(architecture: Architecture, *, speculative: bool) -> tuple[Layer, ...]:
    if not architecture.decodes:
        return ()
    proper = architecture.layers[: architecture.depth]
    if not speculative:
        return proper
    return (*architecture.layers, *architecture.unconverted_mtp)


def _block(pages: Iterable[LayerPage], block: int) -> int:
    """Tokens of a block: beside states, as many as make it no smaller than a state."""
    known = tuple(pages)
    state = max((page.state_bytes for page in known), default=0)
    token = max((page.token_bytes for page in known), default=0)
    if not state or not token:
        return block
    return padded(-(-state // token), block)


def _one_group(pages: dict[int, LayerPage], block: int) -> tuple[tuple[Group, ...], dict[int, int]]:
    """All layers keep the same tokens, of whatever size."""
    sizes = {index: page.token_bytes * block or page.state_bytes for index, page in pages.items()}
    if not pages:
        return (), sizes
    first = next(iter(pages.values()))
    group = Group(first.keeps, tuple(pages), block, first.window)
    return (group,), sizes


def _unlike_groups(
    pages: dict[int, LayerPage], block: int
) -> tuple[tuple[Group, ...], dict[int, int]]:
    """Groups of equally many layers of one kind, with pages of one size.

    Smaller pages get more tokens if that makes them equal, and padding if not.
    """
    page = max(each.token_bytes * block or each.state_bytes for each in pages.values())
    kinds: dict[LayerPage, list[int]] = {}
    for index, each in pages.items():
        kinds.setdefault(each, []).append(index)
    fewest, most = min(map(len, kinds.values())), max(map(len, kinds.values()))
    size = most if most < fewest * PADDED_GROUPS else fewest
    groups = []
    for kind, layers in kinds.items():
        own = kind.token_bytes * block
        tokens = block * (page // own) if own and page % own == 0 else block
        count = -(-len(layers) // size)
        whole = Group(kind.keeps, (), tokens, kind.window)
        groups += [replace(whole, layers=tuple(layers[i::count])) for i in range(count)]
    return tuple(groups), dict.fromkeys(pages, page)
