"""The bytes llama.cpp's graph reserves on a device and on the host: activations, masks and inputs.

Devices: the graph of their layers is replayed through the allocator (`graph`, `ggml_alloc`);
equal to the MiB to tables the engine printed for two builds (`tests/reality/llama_*.csv`), none of
GPU backends. Graphs repeat themselves with the layers, so of a repeated run a few are enough.
"""

from __future__ import annotations

from bisect import bisect_left

from planner.engines.llama_cpp.graph import Place, graph_bytes, is_mamba
from planner.engines.llama_cpp.graph_attention import key_rotation, value_rotation
from planner.engines.llama_cpp.graph_recurrent import Seam
from planner.engines.llama_cpp.graph_tape import F32, PIPELINE_COPIES
from planner.engines.llama_cpp.graph_traits import traits_of
from planner.engines.llama_cpp.settings import Settings
from planner.engines.llama_cpp.state import widest_value
from planner.model.architecture import Architecture, Grouped, Latent, MixtureOfExperts
from planner.model.recurrent import Mamba, Mamba2
from planner.units import KIB

LONGEST_PERIOD = 8
"""Layers after which the kinds of layer repeat at the latest, where a run is cut short."""
REPEATS = 6
"""Repeats of a run of layers that are replayed; more change nothing."""
FULL_WINDOW_SLACK = 160 * KIB
"""Bytes for what `--swa-full` with a quantized cache takes for reasons not found: up to 0.14 MiB
in two of 3,400 device rows."""

_Key = tuple[tuple[int, ...], Place]


class Graph:
    """Graph sizes of one network under one set of settings."""

    __slots__ = (
        "_architecture",
        "_kinds",
        "_mambas",
        "_numbers",
        "_runs",
        "_settings",
        "_sizes",
        "_windows",
    )

    def __init__(self, architecture: Architecture, settings: Settings) -> None:
        self._architecture = architecture
        self._settings = settings
        self._kinds, self._numbers = _kinds(architecture)
        layers = architecture.layers[: architecture.depth]
        self._mambas = tuple(at for at, layer in enumerate(layers) if is_mamba(layer))
        self._runs: dict[int, list[tuple[int, ...]]] = {}
        self._sizes: dict[_Key, int] = {}
        self._windows: tuple[int | None, ...] = tuple(
            dict.fromkeys(
                layer.mixer.window if isinstance(layer.mixer, Grouped) else None
                for layer in architecture.layers
                if isinstance(layer.mixer, Grouped | Latent)
            )
        )

    def device(self, first: int, stop: int, *, pipelined: bool, norm_before: bool = True) -> int:
        """Bytes a device with the slots [first, stop) reserves.

        Args:
            first: its first slot; 0 makes it the first device.
            stop: one past its last slot; past all layers makes it the one with the output.
            pipelined: whether inputs are kept in several copies.
            norm_before: see `planner.engines.llama_cpp.graph.Place`.
        """
        depth = self._architecture.depth
        end = min(stop, depth)
        run = self._run(first, end) if first < end else ()
        place = Place(
            first=first == 0,
            last=bool(run) and end == depth,
            output=stop > len(self._architecture.layers),
            pipelined=pipelined,
            norm_before=norm_before and not self._sums_late(first),
            norm_after=norm_before and not self._sums_late(end),
            seam=self._seam(first, end),
        )
        size = self._sizes.get((run, place))
        if size is None:
            layers = self._architecture.layers
            held = tuple((number, layers[number]) for number in (self._numbers[k] for k in run))
            size = graph_bytes(self._architecture, self._settings, held, place)
            if self._settings.swa_full and self._settings.quantized_cache:
                size += FULL_WINDOW_SLACK
            self._sizes[run, place] = size
        return size

    def _sums_late(self, layer: int) -> bool:
        """Whether the sum that ends the layer before is left to the device of `layer`.

        Nothing with weights is between the experts and the start of a Mamba block.
        """
        layers, depth = self._architecture.layers, self._architecture.depth
        if not 0 < layer < depth or not is_mamba(layers[layer]):
            return False
        network = layers[layer - 1].network
        if not isinstance(network, MixtureOfExperts):
            return False
        return not (network.shared_intermediate or network.latent)

    def _seam(self, first: int, end: int) -> Seam:
        """How a device with layers [first, end) starts and ends as far as Mamba goes."""
        layers, inside = self._architecture.layers, self._mamba_from(first)
        late = self._sums_late(first)
        leads, borrowed = first > 0 and inside == first < end and not late, None
        if first and inside is not None and inside < end:
            lender = self._lender(inside)
            if lender is not None and lender < first:
                leads, borrowed = True, layers[lender].mixer
        borrower = self._mamba_from(end)
        lent = None if borrower is None else self._lender(borrower)
        return Seam(
            leads=leads,
            sums=late,
            borrowed=borrowed if isinstance(borrowed, Mamba | Mamba2) else None,
            lends=lent is not None and first <= lent < end,
        )

    def _mamba_from(self, layer: int) -> int | None:
        """The first Mamba layer that is not before `layer`."""
        at = bisect_left(self._mambas, layer)
        return self._mambas[at] if at < len(self._mambas) else None

    def _lender(self, borrower: int) -> int | None:
        """The Mamba layer whose gate waits until that of layer `borrower` starts, if any does."""
        layers = self._architecture.layers
        for at in reversed(range(borrower)):
            layer = layers[at]
            if isinstance(layer.network, MixtureOfExperts):
                return None
            if is_mamba(layer):
                return at
            if layer.mixer is not None:
                return None
        return None

    def _run(self, first: int, stop: int) -> tuple[int, ...]:
        """The kinds of layers [first, stop), without repeats beyond `REPEATS`."""
        runs = self._runs.get(first)
        if runs is None:
            runs = self._runs[first] = _shortened(self._kinds[first:])
        return runs[stop - first - 1]

    def host(self, *, pipelined: bool) -> int:
        """Bytes reserved on the host, which embeds the tokens and makes the inputs.

        Given embeddings, in the width of one with images, and those of tokens; both once more in
        builds that mix them in one step.
        """
        hidden = self._architecture.hidden
        wide = hidden * (1 + traits_of(self._architecture.gguf_name).image_layers)
        mixes = pipelined or self._settings.rpc_pipelines
        given = (2 if mixes else 1) * (PIPELINE_COPIES if pipelined else 1)
        return (
            self._bytes(given * wide + (2 if mixes else 1) * hidden)
            + self._mask(pipelined=pipelined)
            + self._value_indices(pipelined=pipelined)
            + self._small(pipelined=pipelined)
        )

    def _bytes(self, elements: int) -> int:
        """F32 bytes of `elements` per token of a step."""
        return F32 * self._settings.rows * elements

    def _mask(self, *, pipelined: bool) -> int:
        """Copies * tokens * cells of each kind of cache * 2 B (4 B without flash attention)."""
        settings = self._settings
        copies = PIPELINE_COPIES if pipelined else 1
        element = 2 if settings.flash_attention else 4
        cells = settings.cells() if None in self._windows else 0
        sliding = [window for window in self._windows if window is not None]
        if sliding:
            cells += settings.cells(max(sliding))
        return copies * settings.rows * element * cells

    def _small(self, *, pipelined: bool) -> int:
        """Inputs besides masks and, of a quantized cache, its rotation matrices.

        Words per token and copy: 4 of inputs, 4 of indices per cache (2 where those of V are
        counted apart). Rotations per cache: one matrix for K and one for V.
        """
        copies = PIPELINE_COPIES if pipelined else 1
        per_cache = 4 if self._settings.flash_attention else 2
        small = self._bytes((4 + per_cache * len(self._windows)) * copies)
        if not self._settings.quantized_cache:
            return small
        rotations: dict[int | None, int] = {}
        for mixer in {layer.mixer for layer in self._architecture.layers}:
            if isinstance(mixer, Grouped):
                sides = (
                    key_rotation(mixer.head_dim),
                    value_rotation(mixer.value_dim or mixer.head_dim),
                )
                found = sum(side**2 for side in sides)
                rotations[mixer.window] = max(found, rotations.get(mixer.window, 0))
        return small + F32 * copies * sum(rotations.values())

    def _value_indices(self, *, pipelined: bool) -> int:
        """Without flash attention: an 8-byte index per value element, cache and copy."""
        if self._settings.flash_attention:
            return 0
        copies = PIPELINE_COPIES if pipelined else 1
        width = widest_value(self._architecture.layers)
        return self._bytes(2 * width * copies * len(self._windows))


def _kinds(architecture: Architecture) -> tuple[tuple[int, ...], list[int]]:
    """The kind of each layer, and of each kind the number of a layer that is of it.

    Layers are of one kind if they look alike, and if the engine treats their numbers alike.
    """
    traits, depth = traits_of(architecture.gguf_name), architecture.depth
    known: dict[object, int] = {}
    numbers: list[int] = []
    kinds: list[int] = []
    ids: dict[int, int] = {}
    shapes: dict[object, int] = {}
    for number, layer in enumerate(architecture.layers[:depth]):
        shape = ids.get(id(layer))
        if shape is None:
            shape = ids[id(layer)] = shapes.setdefault(layer, len(shapes))
        image = number if number < traits.image_layers else -1
        turn = (number + 1) % (traits.turns_not_every or 1)
        key = (shape, image, turn, number == depth - 1)
        if key not in known:
            known[key] = len(known)
            numbers.append(number)
        kinds.append(known[key])
    return tuple(kinds), numbers


def _shortened(kinds: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Of each start of `kinds`, the kinds without repeats beyond `REPEATS` of a period."""
    run: list[int] = []
    found: list[tuple[int, ...]] = []
    for kind in kinds:
        run.append(kind)
        for period in range(1, LONGEST_PERIOD + 1):
            held = (REPEATS + 1) * period
            if len(run) >= held and run[-held:-period] == run[-held + period :]:
                del run[-period:]
                break
        found.append(tuple(run))
    return found
