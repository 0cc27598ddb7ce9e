"""The operations of a graph in the order the engine runs them, and its inputs. Engine layer.

Sizes are of 32-bit floats: `width` of them for every row, a token of a step.
"""

from __future__ import annotations

import itertools

from planner.engines.llama_cpp.ggml_alloc import Layout, Tensor, reserved

F32 = 4
INDEX = 8
"""Bytes of an index into the cache."""
PIPELINE_COPIES = 4
"""Copies of the inputs the scheduler keeps (GGML_SCHED_MAX_COPIES)."""


class Tape:
    """Operations so far, on one device.

    `run` puts an operation on the tape after all it needs, as the engine expands its graph.
    """

    __slots__ = ("_entries", "_nodes", "_parting", "_seen", "parts", "pipelined", "rows")

    def __init__(self, rows: int, *, pipelined: bool) -> None:
        self.rows = rows
        self.pipelined = pipelined
        self._entries: dict[str, Tensor] = {}
        self._nodes: list[Tensor] = []
        self._parting: set[int] = set()
        self.parts: list[int] = []
        self._seen: set[int] = set()

    def entry(self, name: str, size: int, layout: Layout = ()) -> Tensor:
        """The input `name` of `size` bytes, copied to the device once."""
        found = self._entries.get(name)
        if found is None:
            found = Tensor(size, layout=layout or (name,), kept=self.pipelined, name=name)
            self._entries[name] = found
        return found

    def value(
        self,
        width: int,
        *operands: Tensor,
        in_place: bool = False,
        layout: Layout = (),
        rows: int | None = None,
    ) -> Tensor:
        """The result of an operation on `operands`."""
        count = self.rows if rows is None else rows
        return Tensor(
            F32 * count * width,
            operands,
            layout=layout or (width, count),
            in_place=in_place,
        )

    def view(self, of: Tensor) -> Tensor:
        """The same numbers in another shape, or a part of them."""
        return Tensor(0, (of,), root=of.root or of)

    def store(self, *operands: Tensor) -> None:
        """Run an operation that writes `operands` to where room was made before."""
        self.run(Tensor(0, operands, stored=True))

    def norm(
        self,
        of: Tensor,
        width: int,
        *,
        mean: bool = False,
        bias: bool = False,
        layout: Layout = (),
        rows: int | None = None,
    ) -> Tensor:
        """A norm with weights; one with a mean does not work in place."""
        found = self.value(width, of, in_place=not mean, layout=layout, rows=rows)
        return self.scaled(found, width, bias=bias, rows=rows)

    def scaled(
        self, of: Tensor, width: int, *, bias: bool = False, rows: int | None = None
    ) -> Tensor:
        """Times the weights of a norm, and plus its bias."""
        for _ in range(1 + bias):
            of = self.value(width, of, in_place=True, layout=of.layout, rows=rows)
        return of

    def run(self, tensor: Tensor) -> None:
        """Put `tensor` on the tape, first what it needs that is not on it."""
        if id(tensor) in self._seen:
            return
        self._seen.add(id(tensor))
        for operand in tensor.operands:
            self.run(operand)
        self._nodes.append(tensor)
        if id(tensor) in self._parting:
            self.part()

    def part(self) -> None:
        """Inputs that are first used from here on come in here, not at the start.

        Other devices are at work in between.
        """
        self.parts.append(len(self._nodes))

    def part_after(self, tensor: Tensor) -> None:
        """As `part`, once `tensor` has been run."""
        self._parting.add(id(tensor))

    def bytes(self) -> int:
        """What the allocator reserves: inputs come first, in the order they are first used in.

        So they do in each part of the tape.
        """
        entries = {id(entry) for entry in self._entries.values()}
        used: dict[int, Tensor] = {}
        nodes: list[Tensor] = []
        for start, stop in itertools.pairwise((0, *self.parts, len(self._nodes))):
            part, before = self._nodes[start:stop], len(used)
            for node in part:
                if node.root is None or node.stored:
                    used |= {id(each): each for each in node.operands if id(each) in entries}
            nodes += list(used.values())[before:]
            nodes += [node for node in part if id(node) not in entries]
        copies = [
            copy
            for entry in used.values()
            for copy in (
                *(Tensor(entry.size, kept=True) for _ in range(PIPELINE_COPIES - 1)),
                entry,
            )
        ]
        return reserved(nodes, copies if self.pipelined else ())
