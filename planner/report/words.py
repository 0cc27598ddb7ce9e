"""How amounts read in a report: money, speeds, waits, layers, clusters, ages. Pure functions."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from planner.plan import Body, ClusterNode, Device, Verdict
from planner.report.blocks import Cell, Tone
from planner.units import GIB, MIB, significant, usd
from planner.values import Range

VERDICT_TONES: dict[Verdict, Tone] = {"fits": "good", "tight": "warn", "no": "bad"}
VERDICT_WORDS: dict[Verdict, str] = {"fits": "fits", "tight": "tight", "no": "does not fit"}
OLD_PRICE_DAYS = 90
NONE = "-"


def rate(value: float) -> str:
    """Tokens per second: whole from 10 on, one decimal below."""
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}"


def span(estimate: Range) -> str:
    """Best estimate and the two others around it: `34 (25-45)`."""
    low, high = sorted((estimate.low, estimate.high))
    return f"{rate(estimate.best)} ({rate(low)}-{rate(high)})"


def seconds(value: float) -> str:
    """A wait for people: `42 ms`, `3.1 s`, `12 min`, `5.0 h`."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{rate(value)} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def wait_span(estimate: Range) -> str:
    """A wait with its optimist's and pessimist's case: `12 s (8.0 s to 20 s)`."""
    low, high = sorted((estimate.low, estimate.high))
    return f"{seconds(estimate.best)} ({seconds(low)} to {seconds(high)})"


def gib(size: int) -> str:
    """GiB in a table: one decimal from 10 on, two below, nothing for zero."""
    if size == 0:
        return NONE
    return f"{size / GIB:,.1f}" if size >= 10 * GIB else f"{size / GIB:.2f}"


def mib(size: int) -> str:
    """Whole MiB rounded towards less room: headroom never looks larger than it is."""
    return f"{size // MIB:,}"


def mib_short(headroom: int) -> str:
    """Whole MiB that are missing, rounded up, from a negative headroom."""
    return f"{-(headroom // MIB):,}"


def money(amount: float | None) -> str:
    """Dollars, or a dash where there is no figure."""
    return NONE if amount is None else usd(amount)


def hourly(amount: float | None) -> str:
    """Dollars per hour, always with cents, or a dash."""
    return NONE if amount is None else f"${amount:,.2f}/h"


def tokens(count: int) -> str:
    """A count with thousands separators."""
    return f"{count:,}"


def parameters(count: int) -> str:
    """Parameters in billions or trillions: `32.9 B`, `1.03 T`."""
    return f"{significant(count / 1e12)} T" if count >= 1e12 else f"{significant(count / 1e9)} B"


def power(watts: float | None) -> str:
    """Kilowatts, one decimal."""
    return NONE if watts is None else f"{watts / 1000:.1f} kW"


def cluster(nodes: Sequence[ClusterNode]) -> str:
    """`2x rtx-pro-6000-x4 + 1x dgx-spark`."""
    return " + ".join(f"{node.count}x {node.node_type}" for node in nodes)


def devices(nodes: Sequence[ClusterNode]) -> str:
    """`8x rtx-pro-6000`, equal GPUs counted together in order of appearance."""
    counts: dict[str, int] = {}
    for node in nodes:
        counts[node.gpu] = counts.get(node.gpu, 0) + node.count * node.gpus_per_node
    return " + ".join(f"{count}x {gpu}" for gpu, count in counts.items())


def layers(device: Device) -> str:
    """`0-7`, `53-60 +out`, `out`, or a dash for a device without a part of the model."""
    if device.first_layer is None or device.last_layer is None:
        return "out" if device.output else NONE
    ends = sorted({device.first_layer, device.last_layer})
    return "-".join(map(str, ends)) + (" +out" if device.output else "")


def verdict(value: Verdict) -> Cell:
    """The verdict as a word in its colour."""
    return Cell(VERDICT_WORDS[value], VERDICT_TONES[value])


def tightest(body: Body) -> Device | None:
    """The device with the least headroom, the first of equals; None where none has a capacity."""
    named = [device for device in body.devices if device.headroom_bytes is not None]
    return min(named, key=spare, default=None)


def spare(device: Device) -> int:
    """Headroom of a device whose capacity is known, bytes."""
    assert device.headroom_bytes is not None
    return device.headroom_bytes


def age(date: str | None, today: datetime.date) -> Cell:
    """How old a price is: `2026-09-09, 77 days old`; older than 90 days is a warning."""
    if date is None:
        return Cell("undated", "warn")
    try:
        days = (today - datetime.date.fromisoformat(date)).days
    except ValueError:  # a month or a season: print it as the catalog has it
        return Cell(date, "dim")
    if days < 0:
        return Cell(f"{date}, in the future", "warn")
    words = f"{date}, {days} day{'' if days == 1 else 's'} old"
    return Cell(words, "warn" if days > OLD_PRICE_DAYS else "dim")


def plural(count: int, noun: str) -> str:
    """`1 user`, `8 users`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shortened(text: str, length: int) -> str:
    """`text` cut after a word so that it has at most `length` characters, the cut marked."""
    if len(text) <= length:
        return text
    head = text[: length - 4]
    return head.rpartition(" ")[0].rstrip(",;: ") + " ..." if " " in head else head + " ..."
