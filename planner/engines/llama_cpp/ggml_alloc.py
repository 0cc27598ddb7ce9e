"""The bytes ggml's graph allocator reserves for a list of operations in order. Engine layer.

Replays it: a result lies in the best fitting hole or at the end; it takes the place of an operand
of the same layout that nothing else needs, where the operation may work in place; an operand is
freed after its last use. Source: ggml/src/ggml-alloc.c of llama.cpp b11434.
"""

from __future__ import annotations

from collections.abc import Sequence

ALIGNMENT = 32
"""Bytes results are aligned to in CPU and RPC buffers."""
_ENDLESS = 1 << 62

Layout = tuple[object, ...]


class Tensor:
    """The result of one operation, or an input of the graph."""

    __slots__ = (
        "address",
        "children",
        "held",
        "in_place",
        "kept",
        "layout",
        "name",
        "operands",
        "root",
        "size",
        "stored",
        "views",
    )

    def __init__(
        self,
        size: int,
        operands: tuple[Tensor, ...] = (),
        *,
        layout: Layout = (),
        in_place: bool = False,
        root: Tensor | None = None,
        stored: bool = False,
        kept: bool = False,
        name: str = "",
    ) -> None:
        """A tensor.

        Args:
            size: its bytes.
            operands: what it is computed from, without weights.
            layout: shape; only one of the same layout can be worked on in place.
            in_place: whether the operation may work in place.
            root: the tensor it is a view of.
            stored: whether it is written elsewhere, such as to the cache, and takes no room.
            kept: whether it is an input or output that is never freed.
            name: for tests and for finding inputs.
        """
        self.size = -(-size // ALIGNMENT) * ALIGNMENT
        self.operands = operands
        self.layout = layout
        self.in_place = in_place
        self.root = root
        self.stored = stored
        self.kept = kept
        self.name = name
        self.children = 0
        self.views = 0
        self.held = False
        self.address = 0


def reserved(nodes: Sequence[Tensor], inputs: Sequence[Tensor] = ()) -> int:
    """Bytes of the buffer for `nodes`, computed in this order; `inputs` are laid out first.

    Counts are kept in the tensors, so each can be replayed once.
    """
    blocks = _Blocks()
    for tensor in inputs:
        _place(tensor, blocks)
    for node in nodes:
        if node.root is not None:
            node.root.views += 1
        for operand in node.operands:
            operand.children += 1
    for node in nodes:
        for operand in node.operands:
            _place(operand, blocks)
        _place(node, blocks)
        for operand in node.operands:
            operand.children -= 1
            if operand.children == 0 and operand.views == 0:
                _free_after_use(operand, blocks)
    return blocks.peak


class _Blocks:
    """The free blocks of one buffer by offset, the last without an end.

    To the letter also where a tensor of no bytes is freed inside a free block, which leaves an
    empty block there that keeps later ones from being joined.
    """

    __slots__ = ("free", "peak")

    def __init__(self) -> None:
        self.free: list[list[int]] = [[0, _ENDLESS]]
        self.peak = 0

    def take(self, size: int) -> int:
        """The offset of a new tensor: in the smallest hole it fits, the last of equal ones."""
        free = self.free
        best = len(free) - 1
        least = _ENDLESS
        for index in range(len(free) - 1):
            room = free[index][1]
            if size <= room <= least:
                best, least = index, room
        block = free[best]
        offset = block[0]
        block[0] += size
        block[1] -= size
        if not block[1]:
            del free[best]
        self.peak = max(self.peak, offset + size)
        return offset

    def give(self, offset: int, size: int) -> None:
        """Free a tensor's place, joined with the first hole beside it and with one beyond that."""
        free, end = self.free, offset + size
        for index, block in enumerate(free):
            if block[0] + block[1] == offset:
                block[1] += size
                if index + 1 < len(free) and free[index + 1][0] == end:
                    block[1] += free.pop(index + 1)[1]
                return
            if block[0] == end:
                block[0] = offset
                block[1] += size
                if index and sum(free[index - 1]) == offset:
                    free[index - 1][1] += free.pop(index)[1]
                return
        after = next((at for at, block in enumerate(free) if block[0] >= offset), len(free))
        free.insert(after, [offset, size])


def _place(tensor: Tensor, blocks: _Blocks) -> None:
    """Give a tensor its place unless it has one."""
    if tensor.held or tensor.stored or tensor.root is not None:
        return
    tensor.held = True
    if tensor.in_place:
        for operand in tensor.operands:
            alone = operand.children == 1 and not operand.views
            if operand.held and alone and not operand.kept and operand.layout == tensor.layout:
                tensor.address = operand.address
                operand.held = False
                return
    tensor.address = blocks.take(tensor.size)


def _free_after_use(tensor: Tensor, blocks: _Blocks) -> None:
    """Free what nothing needs any more: a tensor, or the one that it was the last view of."""
    root = tensor
    if tensor.root is not None:
        root = tensor.root
        root.views -= 1
        if root.views or root.children:
            return
    if root.held and not root.kept:
        root.held = False
        blocks.give(root.address, root.size)
