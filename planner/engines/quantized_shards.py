"""Quantized matrices as the ranks of a layout hold them, and whether formats can be cut so.

Engines layer, shared by vLLM and SGLang. Blocks, groups and words of a format lie on a grid of the
whole matrix; a cut between two of their elements is what engines refuse.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from planner.engines.padded_experts import has_mxfp4_experts
from planner.engines.rules_shared import Case
from planner.engines.sharding import Shards, layer_shards
from planner.model.architecture import Architecture, Grouped, Layer
from planner.model.module_names import Place, module_names
from planner.model.network import block_parts
from planner.quantization.checkpoint_formats import Awq, Gptq, Microscaled, Packed, Plain, Scaled
from planner.quantization.checkpoint_mixed import Format
from planner.quantization.scheme import Scheme

WORD = 32
"""Bits of the words that integers are packed into."""
TILES = ((64, 128), (128, 64))
"""Rows and columns of tiles of Marlin's kernels; a matrix fills those of either kind."""
DEALS_OUT_GROUPS = frozenset({"gpt-oss"})
"""GGUF names of networks with experts in MXFP4 of a width that groups do not divide evenly."""
LEAST_GROUP = 32
MARLIN_GROUPS = (None, LEAST_GROUP, 64, 128)
"""Columns per scale that Marlin's kernels take; None is a whole row."""


@dataclass(frozen=True, slots=True)
class Quantized:
    """One kind of quantized matrix of a network."""

    layer: Layer
    number: int
    """Among the parts of the layer's block."""
    role: str
    shape: tuple[int, ...]
    """Rows (outputs) and columns (inputs) of the whole."""
    form: Format

    @property
    def routed(self) -> bool:
        """Whether it is of routed experts."""
        return self.role.startswith("mlp.experts.")


@dataclass(frozen=True, slots=True)
class Shard:
    """What a rank holds of it."""

    whole: Quantized
    rows: int
    columns: int

    @property
    def rows_cut(self) -> bool:
        """Whether other ranks hold other rows."""
        return self.rows < self.whole.shape[0]

    @property
    def columns_cut(self) -> bool:
        """Whether other ranks hold other columns."""
        return self.columns < self.whole.shape[1]

    @property
    def merged(self) -> bool:
        """Whether engines put it into one matrix with others: Q, K and V, or gate and up."""
        last, gated = self.whole.role.rpartition(".")[2], self.whole.layer.network
        if last in ("q_proj", "k_proj", "v_proj"):
            return isinstance(self.whole.layer.mixer, Grouped)
        if last in ("gate_proj", "up_proj") and self.whole.role.startswith("mlp."):
            return bool(gated and gated.gated)
        return last.startswith("in_proj")

    def side(self, which: str, count: int) -> str:
        """The start of a sentence about its rows or columns."""
        return f"each rank's {count} {which} of {matrix_name(self.whole.role)}"


def matrix_name(role: str) -> str:
    """A matrix in words: `experts' down_proj`."""
    last = role.rpartition(".")[2]
    if last == "merged":
        last = "gate_proj and up_proj" if role.startswith("mlp.") else "merged projections"
    if role.startswith("mlp.experts."):
        return f"experts' {last}"
    if role.startswith("mlp.shared_experts."):
        return f"shared experts' {last}"
    return f"the dense {last}" if role.startswith("mlp.") else last


def formats(architecture: Architecture, scheme: Scheme) -> tuple[Format, ...]:
    """Every format of the network's linear layers, in order of appearance; not plain ones."""
    return tuple(dict.fromkeys(each.form for each in quantized(architecture, scheme)))


@functools.lru_cache(maxsize=64)
def quantized(architecture: Architecture, scheme: Scheme) -> tuple[Quantized, ...]:
    """Every kind of quantized matrix of the layers proper."""
    found: dict[Quantized, None] = {}
    for index, layer in enumerate(architecture.layers[: architecture.depth]):
        for number, part in enumerate(block_parts(architecture, layer)):
            if not part.linear:
                continue
            form = scheme.format_of(part.role, module_names(part.role, Place(index)))
            if not isinstance(form, Plain):
                found[Quantized(layer, number, part.role, part.shape, form)] = None
    return tuple(found)


def shards_held(case: Case) -> tuple[Shard, ...]:
    """Every kind of quantized matrix as a rank holds it, those that do not divide left out."""
    shards = case.shards
    ways = Shards(
        attention=shards.attention,
        dense=shards.dense,
        shared_experts=shards.shared_experts,
        expert_ranks=shards.expert_ranks,
        expert_width=shards.expert_width,
    )
    return _held(case.architecture, case.scheme, ways)


@functools.lru_cache(maxsize=1024)
def _held(architecture: Architecture, scheme: Scheme, ways: Shards) -> tuple[Shard, ...]:
    """Of `ways` without padding: alignment is of what the checkpoint has."""
    found = []
    for each in quantized(architecture, scheme):
        rows, columns = layer_shards(architecture, each.layer, ways, 1)[each.number].shape
        if each.shape[1] % columns == 0 and (each.shape[0] % rows == 0 or rows == each.shape[0]):
            found.append(Shard(each, rows, columns))
    return tuple(found)


def block_of(form: Format) -> tuple[int, int] | None:
    """Rows and columns that share a scale of FP8 in square-like blocks; None of others."""
    if isinstance(form, Scaled) and form.block_rows and form.block_columns and form.block_rows > 1:
        return form.block_rows, form.block_columns
    return None


def group_of(form: Format) -> int | None:
    """Columns of a row that share a scale; None of a whole row, or of no groups."""
    match form:
        case Packed() | Awq() | Gptq():
            return form.group
        case Microscaled():
            return form.group
        case Scaled(block_rows=1, block_columns=columns):
            return columns
        case _:
            return None


def misaligned_linears(case: Case, *, merged: bool) -> Iterator[str]:
    """FP8 blocks of all but routed experts: cut columns, cut rows, and rows of merged matrices.

    Args:
        case: the layout.
        merged: whether rows of merged matrices must be whole blocks (SGLang); vLLM lets them be.
    """
    for shard in shards_held(case):
        block = block_of(shard.whole.form)
        if block is None or shard.whole.routed:
            continue
        if shard.columns_cut and shard.columns % block[1]:
            yield _not_of_blocks(shard.side("columns", shard.columns), block[1])
        asked = merged if shard.merged else shard.rows_cut
        if asked and shard.rows % block[0]:
            yield _not_of_blocks(shard.side("rows", shard.rows), block[0])


def expert_shards(case: Case) -> Iterator[tuple[Shard, int, int]]:
    """Routed experts whose FP8 blocks are cut: the down-projection, the rank's width, the block."""
    for shard in shards_held(case):
        block = block_of(shard.whole.form)
        down = shard.whole.role.endswith("down_proj")
        if block is None or not shard.whole.routed or not down:
            continue
        width = shard.columns
        if width % block[0]:
            yield shard, width, block[0]
        elif shard.columns_cut and width % block[1]:
            yield shard, width, block[1]


def misaligned_experts(case: Case) -> Iterator[str]:
    """FP8 blocks of routed experts."""
    for shard, width, block in expert_shards(case):
        yield _not_of_blocks(shard.side("columns", width), block)


def _not_of_blocks(start: str, block: int) -> str:
    return f"{start} are no multiple of the FP8 block of {block}"


def straddled_groups(case: Case) -> Iterator[str]:
    """Groups of columns that share a scale, cut between ranks.

    Groups of experts of AWQ and GPTQ can be halved for slower kernels; that is not planned, as
    sizes and speed are of whole groups. gpt-oss deals out whole groups of its experts.
    """
    for shard in shards_held(case):
        group, form = group_of(shard.whole.form), shard.whole.form
        if not shard.columns_cut or not group or shard.columns % group == 0:
            continue
        if shard.whole.routed and deals_out(case.architecture, case.scheme):
            continue
        reason = f"{shard.side('columns', shard.columns)} are no multiple of the group of {group}"
        if shard.whole.routed and isinstance(form, Awq | Gptq) and shard.columns % LEAST_GROUP == 0:
            reason += (
                f"; {case.engine.name} would halve groups for slower kernels, which is not planned"
            )
        yield reason


def deals_out(architecture: Architecture, scheme: Scheme) -> bool:
    """Whether the network's loader deals out whole groups of its experts' columns, and pads."""
    return architecture.gguf_name in DEALS_OUT_GROUPS and has_mxfp4_experts(scheme)


def cut_words(case: Case) -> Iterator[str]:
    """Integers packed into 32-bit words along rows or columns, cut inside a word."""
    for shard in shards_held(case):
        match shard.whole.form:
            case Awq(bits=bits):
                which, count, cut = "rows", shard.rows, shard.rows_cut
            case Gptq(bits=bits) | Packed(bits=bits):
                which, count, cut = "columns", shard.columns, shard.columns_cut
            case _:
                continue
        if cut and count * bits % WORD:
            yield (
                f"{shard.side(which, count)} do not fill whole words of {WORD} bits at {bits} bits"
            )


def unknown_groups(case: Case) -> Iterator[str]:
    """Group sizes that kernels for packed integers do not take; AWQ has others of its own."""
    for form in formats(case.architecture, case.scheme):
        if isinstance(form, Packed | Gptq) and form.group not in MARLIN_GROUPS:
            yield (
                f"groups of {form.group} columns share a scale: kernels take 32, 64, 128 or a "
                "whole row"
            )


def unpadded_tiles(case: Case, tiles: tuple[tuple[int, int], ...] = TILES) -> Iterator[str]:
    """Rows of one or of merged matrices and their columns fill one of the kernel's tiles.

    AWQ and routed experts go to other kernels instead.
    """
    held: dict[tuple[Layer, str], tuple[int, int]] = {}
    for shard in shards_held(case):
        if not isinstance(shard.whole.form, Packed | Gptq) or shard.whole.routed:
            continue
        role = shard.whole.role
        key = shard.whole.layer, f"{role.rpartition('.')[0]}.merged" if shard.merged else role
        rows, _ = held.get(key, (0, 0))
        held[key] = rows + shard.rows, shard.columns
    for (_, role), (rows, columns) in held.items():
        if all(rows % tile[0] or columns % tile[1] for tile in tiles):
            wanted = " or ".join(f"{tile[0]} x {tile[1]}" for tile in tiles)
            yield (
                f"each rank's {rows} x {columns} of {matrix_name(role)} fill no tiles of {wanted}, "
                "which the kernel needs"
            )
