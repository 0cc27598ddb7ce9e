"""The models of the catalogs as people compare them: counted, filtered and in order."""

from __future__ import annotations

from collections.abc import Iterable

from planner.catalog.load import Catalog
from planner.catalog.schema import ModelRow
from planner.errors import ConflictingOptions, FactsError, UnknownName
from planner.model.architecture import Architecture, Grouped, Latent, Mixer, MixtureOfExperts
from planner.model.parameters import active_parameters, mtp_parameters
from planner.subject import architecture_of
from planner.values import Value


class Network(Value):
    """What the network of a model is, counted from its config."""

    active_parameters: int
    """Weights one token touches, the whole embedding counted."""
    mtp_parameters: int
    """Weights of its MTP blocks, which `parameters` leaves out."""
    layers: int
    """Blocks without MTP blocks."""
    attention: str
    """What mixes tokens, each kind once in the order of the layers: `window + grouped`."""
    experts: str
    """`8 of 384`, or empty for a dense network."""
    context: int
    """Tokens of the full window."""
    vision: bool
    """Whether a tower for images, which is not counted, goes with it."""


class Model(Value):
    """One model row and its network."""

    row: ModelRow
    network: Network | None
    """None where there are no rules for it."""


class Wanted(Value):
    """What a model must be to be listed; None is any."""

    family: str | None = None
    publisher: str | None = None
    min_parameters: int | None = None
    max_parameters: int | None = None
    moe: bool | None = None
    """True is networks with experts, False dense ones."""
    min_context: int | None = None
    """Least tokens of the full window."""


def describe(catalog: Catalog, row: ModelRow) -> Model:
    """A model with what its network is."""
    try:
        architecture = architecture_of(catalog, row.name)
    except FactsError:
        return Model(row=row, network=None)
    return Model(row=row, network=_network(row, architecture))


def select(catalog: Catalog, wanted: Wanted) -> tuple[Model, ...]:
    """Models that are all that is wanted, by publisher, parameters and name.

    Raises:
        UnknownName: no model is of that family or publisher.
        ConflictingOptions: the least is more than the most.
    """
    rows = catalog.models.values()
    family = _known("family", wanted.family, (row.family for row in rows))
    publisher = _known("publisher", wanted.publisher, (row.publisher for row in rows))
    low, high = wanted.min_parameters, wanted.max_parameters
    if low is not None and high is not None and low > high:
        raise ConflictingOptions(
            f"--min-params {low:,} is more than --max-params {high:,}", hint="swap the two"
        )
    fitting = (
        row
        for row in rows
        if (family is None or row.family == family)
        and (publisher is None or row.publisher == publisher)
        and (low is None or row.parameters >= low)
        and (high is None or row.parameters <= high)
    )
    kept = (
        model
        for model in (describe(catalog, row) for row in fitting)
        if (wanted.moe is None or _has_experts(model) is wanted.moe)
        and (wanted.min_context is None or _context(model) >= wanted.min_context)
    )
    return tuple(sorted(kept, key=_order))


def _order(model: Model) -> tuple[str, int, str]:
    return model.row.publisher.casefold(), model.row.parameters, model.row.name


def _has_experts(model: Model) -> bool | None:
    return None if model.network is None else bool(model.network.experts)


def _context(model: Model) -> int:
    return 0 if model.network is None else model.network.context


def _known(kind: str, asked: str | None, names: Iterable[str]) -> str | None:
    """The name that `asked` means, whatever its case, spaces and hyphens."""
    if asked is None:
        return None
    known = {_folded(name): name for name in sorted(set(names)) if name}
    if _folded(asked) not in known:
        hint = f"--{kind} takes " + ", ".join(known.values())
        raise UnknownName(kind, asked, known.values(), hint=hint)
    return known[_folded(asked)]


def _folded(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _network(row: ModelRow, architecture: Architecture) -> Network:
    blocks = [layer for layer in architecture.layers if not layer.mtp]
    context = architecture.context_length
    mixers = [_mixer(layer.mixer, context) for layer in blocks if layer.mixer is not None]
    networks = (layer.network for layer in blocks)
    experts = [
        f"{network.used} of {network.experts}"
        for network in networks
        if isinstance(network, MixtureOfExperts)
    ]
    return Network(
        active_parameters=active_parameters(architecture),
        mtp_parameters=mtp_parameters(architecture),
        layers=architecture.depth,
        attention=" + ".join(dict.fromkeys(mixers)),
        experts=experts[0] if experts else "",
        context=context,
        vision="vision_config" in row.config,
    )


def _mixer(mixer: Mixer, context: int) -> str:
    """The kind of a mixer in a word or two; a window as wide as the context is none."""
    match mixer:
        case Grouped(window=window) if window is not None and window < context:
            return "window"
        case Grouped():
            return _sparse(mixer) + _sharing(mixer)
        case Latent():
            return _sparse(mixer) + "latent"
        case _:
            return mixer.kind.replace("_", " ")


def _sparse(mixer: Grouped | Latent) -> str:
    return "sparse " if mixer.top_k is not None or mixer.indexer is not None else ""


def _sharing(mixer: Grouped) -> str:
    """How many query heads share a K/V head."""
    if mixer.kv_heads == mixer.heads:
        return "multi-head"
    return "multi-query" if mixer.kv_heads == 1 else "grouped"
