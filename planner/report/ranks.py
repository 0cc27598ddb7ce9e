"""The memory of a grid of ranks: equal devices in one row, and what the weights of a rank are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from planner.model.components import Component
from planner.plan import Body, Bytes, Device, RankShare
from planner.report import names, words
from planner.report.blocks import Block, Cell, Column, Grid, Heading, Tone, row
from planner.units import GIB

_FIGURES = ("weights", "KV asked", "compute", "runtime", "reserve", "total", "capacity")
_LONG = (*_FIGURES, "spare MiB")
_SHORT = ("weights", "KV", "compute", "runtime", "reserve", "total", "of", "spare")
_MOST_ROWS = 16
"""From more rows on, stages that hold as much of as many layers share one."""
_CLASSES_ABREAST = 4
"""Classes of ranks side by side in one table of weights."""
_LEAST = GIB // 200
"""Less than this would read 0.00 GiB."""


def memory(body: Body, name: str = "") -> list[Block]:
    """The table of devices in GiB, equal ones in one row, the tightest marked.

    `name` says which choice it is, where there are several.
    """
    groups = _groups(body.devices)
    if len(groups) > _MOST_ROWS:
        groups = _groups(body.devices, over_stages=True)
    tightest = words.tightest(body)
    grid = _grid(groups, tightest, body.devices)
    if name:
        return [Heading(f"Memory per device, GiB: {name}"), grid]
    note = "spare = capacity - total, in MiB; > is the tightest"
    if tightest is None:
        note = "of unnamed devices: no capacity, no verdict"
    return [Heading("Memory per device, GiB", note), grid]


Group = tuple[Device, ...]
Columns = list[tuple[Column, list[Cell]]]


def _groups(devices: Sequence[Device], *, over_stages: bool = False) -> list[Group]:
    """Devices that hold exactly the same, or as much of other layers, in order of their first."""
    anywhere: dict[str, object] = {"id": "", "node": "", "replica": 0}
    if over_stages:
        anywhere |= {"stage": None, "first_layer": None, "last_layer": None}
    found: dict[Device, list[Device]] = {}
    for device in devices:
        found.setdefault(device.model_copy(update=anywhere), []).append(device)
    return [tuple(group) for group in found.values()]


def _layers(group: Group) -> str:
    """As of one device; of several stages `2-59, 2 each`."""
    first = group[0]
    if not first.slots:
        return "idle"
    held = {_held(device) for device in group}
    if len(held) == 1:
        return words.layers(first)
    layers = (layer for each in held for layer in each)
    return f"{names.ranges(layers, '-', ',')}, {len(_held(first))} each"


def _held(device: Device) -> range:
    if device.first_layer is None or device.last_layer is None:
        return range(0)
    return range(device.first_layer, device.last_layer + 1)


def _grid(groups: Sequence[Group], tightest: Device | None, devices: Sequence[Device]) -> Grid:
    """The most that the width allows of whole headings, experts, whole names and capacity."""
    long = [names.devices(group, devices) for group in groups]
    short = [names.devices(group, devices, short=True) for group in groups]
    whole = _columns(groups, tightest, long, _SHORT)
    brief = _without("experts", _columns(groups, tightest, short, _SHORT))
    narrow = _drawn(brief, _drawn(_without("of", brief)))
    narrow = _drawn(whole, _drawn(_without("experts", whole), narrow))
    return _drawn(_columns(groups, tightest, long, _LONG), narrow)


def _without(title: str, columns: Columns) -> Columns:
    """`columns` less one that says the same of all devices in use."""
    return [each for each in columns if each[0].title != title or _differs(each[1])]


def _differs(cells: Sequence[Cell]) -> bool:
    return len({cell.text for cell in cells} - {words.NONE}) > 1


def _drawn(columns: Columns, narrow: Grid | None = None) -> Grid:
    rows = zip(*(cells for _, cells in columns), strict=True)
    return Grid(tuple(column for column, _ in columns), tuple(rows), narrow=narrow, tight=True)


def _columns(
    groups: Sequence[Group],
    tightest: Device | None,
    labels: Sequence[str],
    titles: Sequence[str],
) -> Columns:
    """All columns but those that no device has anything for."""
    firsts = [group[0] for group in groups]
    marks = [tightest is not None and tightest in group for group in groups]
    tones = [_tone(*each) for each in zip(firsts, marks, strict=True)]
    marked = zip(labels, marks, tones, strict=True)
    columns = [
        (
            Column("  device"),
            [Cell(f"{'>' if mark else ' '} {n}", tone) for n, mark, tone in marked],
        )
    ]
    if any(len(group) > 1 for group in groups):
        columns.append((Column("", right=True), [Cell(f"x{len(group)}") for group in groups]))
    columns.append((Column("layers"), [Cell(_layers(group)) for group in groups]))
    if any(device.experts for device in firsts):
        experts = [Cell(str(device.experts or words.NONE)) for device in firsts]
        columns.append((Column("experts", right=True), experts))
    figures = [_figures(*each) for each in zip(firsts, tones, strict=True)]
    for index, title in enumerate(titles if tightest is not None else titles[:-2]):
        columns.append((Column(title, right=True), [cells[index] for cells in figures]))
    return columns


def _tone(device: Device, marked: bool) -> Tone:
    spare = device.headroom_bytes
    return "bad" if spare is not None and spare < 0 else "strong" if marked else "plain"


def _figures(device: Device, tone: Tone) -> tuple[Cell, ...]:
    budget, spare, capacity = device.budget, device.headroom_bytes, device.capacity_bytes
    parts = budget.weights, budget.kv_cache, budget.compute, budget.runtime, budget.reserve
    return row(
        *map(words.gib, parts),
        Cell(words.gib(budget.total), "strong"),
        words.NONE if capacity is None else words.gib(capacity),
        Cell(words.NONE if spare is None else words.mib(spare), tone),
    )


def weights(body: Body) -> list[Block]:
    """Weights by what they belong to, and what is not exact, for each class of ranks."""
    classes = _classes(body.ranks)
    if not classes:
        return []
    starts = range(0, len(classes), _CLASSES_ABREAST)
    parts = (classes[start : start + _CLASSES_ABREAST] for start in starts)
    note = "low-high where not exact; compute: activation and graphs"
    heading = Heading("Weights per rank, GiB", note)
    return [heading, *(_weights(part, body.ranks) for part in parts)]


Class = tuple[RankShare, ...]


def _classes(ranks: Sequence[RankShare]) -> list[Class]:
    """Classes that hold the same on several stages as one."""
    found: dict[RankShare, list[RankShare]] = {}
    for share in ranks:
        found.setdefault(share.model_copy(update={"stage": 0, "ranks": 0}), []).append(share)
    return [tuple(shares) for shares in found.values()]


def _weights(classes: Sequence[Class], ranks: Sequence[RankShare]) -> Grid:
    titles = [_title(shares, len(ranks)) for shares in classes]
    held = [{part.name: part.bytes for part in shares[0].weights} for shares in classes]
    components = sorted({name for parts in held for name in parts}, key=_order)
    rows = []
    if any(shares[0].experts for shares in classes):
        rows.append(row("experts a layer", *(str(shares[0].experts) for shares in classes)))
    for name in components:
        label = "beside the network" if name == "beside" else name.replace("_", " ")
        rows.append(row(label, *(_size(parts.get(name, 0)) for parts in held)))
    rows.append(row(Cell("loaded", "strong"), *(span(each[0].loaded) for each in classes)))
    rows.append(row("compute", *(span(each[0].compute) for each in classes)))
    rows.append(row("runtime", *(span(each[0].runtime) for each in classes)))
    return Grid((Column(""), *(Column(title, right=True) for title in titles)), tuple(rows))


def _title(shares: Class, classes: int) -> str:
    ranks = sum(share.ranks for share in shares)
    if len(shares) == classes:
        return words.plural(ranks, "rank") if ranks == 1 else f"each of {ranks} ranks"
    stages = list(dict.fromkeys(share.stage for share in shares))
    noun = "stage" if len(stages) == 1 else "stages"
    return f"{noun} {names.ranges(stages, '-', ',')}, {words.plural(ranks, 'rank')}"


def _order(name: str) -> tuple[int, str]:
    """As tokens pass through; what is beside the network last."""
    order = get_args(Component)
    return (order.index(name) if name in order else len(order), name)


def _size(size: int) -> str:
    return "<0.01" if 0 < size < _LEAST else words.gib(size)


def span(size: Bytes) -> str:
    """`60.9-61.4`, GiB; one figure where both read the same."""
    return "-".join(dict.fromkeys((_size(size.low), _size(size.high))))
