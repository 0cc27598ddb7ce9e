"""How the tensors of a GGUF file differ from those its metadata describes. Model layer."""

from __future__ import annotations

from planner.errors import FactsError, UnsupportedArchitecture
from planner.model.architecture import Architecture
from planner.model.gguf_fields import Shapes
from planner.model.tensors import Shape, gguf_tensors

_ONE_MATRIX = (
    (".attn_q.", ".attn_qkv."),
    (".attn_k.", ".attn_qkv."),
    (".attn_v.", ".attn_qkv."),
    (".ffn_gate_exps.", ".ffn_gate_up_exps."),
    (".ffn_up_exps.", ".ffn_gate_up_exps."),
)
"""Parts of names, and those of the matrix that holds all of them in other files."""

_NO_PARAMETERS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
"""Tables of rotary factors."""


def differences(network: Architecture, shapes: Shapes) -> tuple[str, ...]:
    """What the file's tensors are beside those its metadata describes.

    Raises:
        FactsError: a tensor of another shape than metadata says; engines refuse such files.
    """
    try:
        listed = {tensor.name: tensor.shape for tensor in gguf_tensors(network)}
    except UnsupportedArchitecture as error:
        return (error.message,)
    for tensor, shape in listed.items():
        found = shapes.get(tensor, shape)
        if found != shape:
            raise FactsError(
                f"tensor {tensor!r} is {_by(found)}, by the metadata {_by(shape)}",
                hint="the file is no model of this architecture, or of a fork of the format",
            )
    described, stored = set(map(_in_one, listed)), set(map(_in_one, shapes))
    strange = [
        name for name in shapes if _in_one(name) not in described and name not in _NO_PARAMETERS
    ]
    missing = [name for name in listed if _in_one(name) not in stored]
    return tuple(
        f"{len(names):,} tensors {what} those its metadata describes, e.g. '{names[0]}'"
        for names, what in ((strange, "of the file are not among"), (missing, "are missing of"))
        if names
    )


def _in_one(name: str) -> str:
    """The name, with that of matrices that some files keep in one, and others apart."""
    for part, whole in _ONE_MATRIX:
        name = name.replace(part, whole)
    return name


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape))
