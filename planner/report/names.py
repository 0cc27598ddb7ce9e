"""How devices are named together: by ranges of their machines and of their places in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from planner.plan import Device


def devices(group: Sequence[Device], everything: Sequence[Device], *, short: bool = False) -> str:
    """`hgx-h100-1.0-7`, of several machines `hgx-h100-1 to 4: 0-7`; short without the name.

    Args:
        group: the devices to name.
        everything: all devices of the plan, whose order numbers the machines.
        short: leave out the node type, and number machines from 1 over all types.
    """
    machines = list(dict.fromkeys(device.node for device in everything))
    held: dict[str, list[int]] = {}
    for device in group:
        held.setdefault(device.node, []).append(int(device.id.rpartition(".")[2]))
    alike: dict[tuple[str, str], list[int]] = {}
    for node, numbers in held.items():
        stem = "" if short else node.rpartition("-")[0] + "-"
        alike.setdefault((stem, ranges(numbers, "-", ",")), []).append(machines.index(node))
    parts, said = [], ""
    for (stem, indices), places in alike.items():
        text = {
            place: str(place + 1) if short else machines[place].rpartition("-")[2]
            for place in places
        }
        which = ranges(places, " to ", ", ", text)
        name, said = ("" if stem == said else stem), stem
        parts.append(f"{name}{which}{'.' if len(places) == 1 else ': '}{indices}")
    return "; ".join(parts)


def ranges(
    numbers: Iterable[int], through: str, between: str, text: dict[int, str] | None = None
) -> str:
    """`0-3,6`: runs of numbers by their ends; `text` is what stands for a number."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    said = {} if text is None else text
    ends = (dict.fromkeys((run[0], run[-1])) for run in runs)
    return between.join(through.join(said.get(end, str(end)) for end in pair) for pair in ends)
