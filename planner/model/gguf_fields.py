"""Metadata of a GGUF header by key, as whole numbers, and what its tensors say. Model layer."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from planner.errors import FactsError
from planner.model.gguf_cursor import KEPT_ITEMS, MetadataValue, integers
from planner.model.tensors import Shape

Metadata = Mapping[str, MetadataValue]
Shapes = Mapping[str, Shape]

BLOCKS_LIMIT = KEPT_ITEMS
"""Blocks of the deepest network that is read: per-block values of more are not kept."""

_INTEGER_LIMIT = 2**31
_NEXTN = re.compile(r"blk\.(0|[1-9][0-9]{0,4})\.nextn\.")


def mtp_blocks(metadata: Metadata, names: Iterable[str]) -> frozenset[int]:
    """The multi-token-prediction blocks: the last so many, and any with tensors of one."""
    found = {int(match[1]) for name in names if (match := _NEXTN.match(name))}
    arch = metadata.get("general.architecture")
    depth = metadata.get(f"{arch}.block_count")
    count = metadata.get(f"{arch}.nextn_predict_layers")
    if type(depth) is int and type(count) is int and 0 < count < depth <= BLOCKS_LIMIT:
        found |= set(range(depth - count, depth))
    return frozenset(found)


class Fields:
    """Metadata of one network, and the shapes of its tensors."""

    def __init__(self, name: str, metadata: Metadata, shapes: Shapes) -> None:
        self.name = name
        self._metadata = metadata
        self._shapes = shapes
        self._checked: dict[str, Sequence[int]] = {}
        self.blocks = self.count("block_count")
        if self.blocks > BLOCKS_LIMIT:
            raise FactsError(
                f"'{name}.block_count' is {self.blocks:,}",
                hint=f"networks of up to {BLOCKS_LIMIT:,} blocks are read",
            )

    def given(self, *keys: str) -> str | None:
        """The first of `keys` that is there."""
        return next((key for key in keys if f"{self.name}.{key}" in self._metadata), None)

    def raw(self, key: str) -> MetadataValue | None:
        """The value of `key`, whatever it is."""
        return self._metadata.get(f"{self.name}.{key}")

    def count(self, key: str, block: int | None = None) -> int:
        """The positive whole number under `key`; of an array, that of `block`.

        Raises:
            FactsError: it is missing or no such number.
        """
        value = self.optional(key, block)
        if not value:
            state = "missing" if value is None else "0"
            raise FactsError(
                f"GGUF metadata '{self.name}.{key}' is {state}"
                + ("" if block is None else f" for block {block}"),
                hint="the file is no whole model of this architecture",
            )
        return value

    def optional(self, key: str, block: int | None = None) -> int | None:
        """As `count`; None if it is missing, and 0 if it is 0.

        An array has an item for each block, or each but the MTP blocks, which are as the last.
        """
        value = self.raw(key)
        if value is None:
            return None
        numbers = self._numbers(key, value)
        if not isinstance(value, tuple):
            return numbers[0]
        if block is None:
            if len(set(numbers)) > 1:
                raise self.strange(key, value)
            return numbers[0]
        mtp = self.optional("nextn_predict_layers") or 0
        if len(numbers) not in (self.blocks, self.blocks - mtp):
            raise FactsError(
                f"GGUF metadata '{self.name}.{key}' has {len(numbers):,} values for"
                f" {self.blocks:,} blocks",
                hint="download the file again",
            )
        return numbers[min(block, len(numbers) - 1)]

    def _numbers(self, key: str, value: MetadataValue) -> Sequence[int]:
        """The whole numbers under `key`, checked once."""
        known = self._checked.get(key)
        if known is None:
            known = integers(value)
            if not known or min(known) < 0 or max(known) >= _INTEGER_LIMIT:
                raise self.strange(key, value)
            self._checked[key] = known
        return known

    def strange(self, key: str, value: MetadataValue) -> FactsError:
        """The error that `key` has a value that is not understood."""
        return FactsError(
            f"GGUF metadata '{self.name}.{key}' is {str(value)[:60]}: not understood",
            hint="download the file again",
        )

    def has(self, block: int, tensor: str) -> bool:
        """Whether `block` has this tensor."""
        return f"blk.{block}.{tensor}" in self._shapes

    def elements(self, block: int, tensor: str) -> int:
        """Weights of a tensor of `block`; 0 if it has none such."""
        shape = self._shapes.get(f"blk.{block}.{tensor}")
        return 0 if shape is None else math.prod(shape)

    def shape(self, tensor: str, dimensions: int) -> Shape:
        """The shape of a tensor that must be there.

        Raises:
            FactsError: it is not there, or has other dimensions.
        """
        shape = self._shapes.get(tensor)
        if shape is None or len(shape) != dimensions:
            state = "is missing" if shape is None else f"has {len(shape)} dimensions"
            raise FactsError(
                f"tensor {tensor!r} {state}", hint="the file is no whole model: get all its parts"
            )
        return shape
