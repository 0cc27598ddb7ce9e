"""How the figures of a requirements page were counted, and how far off the public pages are."""

from __future__ import annotations

from collections.abc import Sequence

from planner.catalog.schema import Gpu
from planner.services.requirements_figures import page_gigabytes, page_tenths
from planner.services.requirements_values import (
    MemoryParts,
    Method,
    NominalMethod,
    QuantizationNeeds,
)
from planner.units import gigabytes, significant


def notes(
    rows: Sequence[QuantizationNeeds],
    nominal: NominalMethod,
    parts: tuple[MemoryParts, MemoryParts],
    gpu: Gpu,
    method: Method,
    *,
    mtp: bool,
) -> tuple[str, ...]:
    """One sentence or two for each thing that is counted; `mtp`: the file has MTP blocks."""
    found = [
        _exact(parts, gpu, mtp=mtp),
        _public(nominal, parts),
        _cache(nominal, parts[1].tokens),
        *_files(rows, nominal),
    ]
    if method == "nominal":
        found.append(
            "The public pages round to two decimals, and memory then to one; machines and their "
            "verdicts are judged by exact bytes all the same."
        )
    return tuple(found)


def _exact(parts: tuple[MemoryParts, MemoryParts], gpu: Gpu, *, mtp: bool) -> str:
    short, full = parts
    unloaded = ", the multi-token-prediction block of the file is not loaded" if mtp else ""
    return (
        "Exact: the bytes of every tensor, the cache as llama.cpp allocates it for one user "
        f"(16 bits, {short.tokens:,} and {full.tokens:,} tokens), its graph "
        f"({gigabytes(short.compute)} and {gigabytes(full.compute)} GB at 512 tokens a step) and "
        f"the runtime of one device, {gpu.title} as if it were large enough "
        f"({gigabytes(full.runtime)} GB). The token embedding is left to the host"
        f"{unloaded}. Over several "
        "devices, each adds a graph and a runtime of its own; verdicts count them."
    )


def _public(nominal: NominalMethod, parts: tuple[MemoryParts, MemoryParts]) -> str:
    billions = page_gigabytes(nominal.parameters)
    return (
        f"Nominal, as public requirements pages count: {billions} billion weights x nominal bits "
        "/ 8; memory adds a cache of 2 x layers x hidden x 2 bytes = "
        f"2 x {nominal.layers} x {nominal.hidden:,} x 2 = {nominal.kv_bytes_per_token:,} bytes a "
        f"token, and {page_tenths(nominal.overhead_bytes)} GB for everything else, where graph and "
        f"runtime take {gigabytes(parts[1].compute + parts[1].runtime)} GB with the full context."
    )


def _cache(nominal: NominalMethod, window: int) -> str:
    theirs = nominal.kv_bytes_per_token * window
    how = f"{significant(nominal.kv_ratio)} times the true"
    if nominal.kv_ratio < 1:
        how = f"{significant(100 * nominal.kv_ratio)} % of the true"
    return (
        f"Their cache at {window:,} tokens is {page_tenths(theirs)} GB, {how} "
        f"{gigabytes(nominal.true_kv_bytes)} GB: they know neither latent nor grouped attention "
        "nor sliding windows."
    )


def _files(rows: Sequence[QuantizationNeeds], nominal: NominalMethod) -> list[str]:
    """The files that are most over- and understated, and the weights counted."""
    found = []
    if nominal.parameters != nominal.true_parameters:
        more = nominal.parameters - nominal.true_parameters
        found.append(
            f"Their {nominal.parameters:,} weights are {more:+,} off: the network has "
            f"{nominal.true_parameters:,}."
        )
    shares = {r.quant: r.nominal.file_bytes / r.true.file_bytes - 1 for r in rows if r.nominal}
    if shares:
        low, high = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
        found.append(
            f"Their file sizes are between {100 * shares[low]:+.1f} % ({low}) and "
            f"{100 * shares[high]:+.1f} % ({high}) off: nominal bits leave out the scales of a "
            "block and the tensors a mix keeps, or has to keep, at more bits."
        )
    return found
