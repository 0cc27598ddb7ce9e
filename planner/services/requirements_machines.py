"""The rows of the machines of a requirements page: verdict, spare memory, speed."""

from __future__ import annotations

from collections.abc import Sequence

from planner import accounting
from planner.catalog.load import Catalog
from planner.plan import Performance, Verdict
from planner.request import PlanRequest
from planner.services.requirements_fits import Fits, Place
from planner.services.requirements_values import Machine
from planner.subject import Subject


def machines(catalog: Catalog, fits: Fits, everywhere: Sequence[Place]) -> tuple[Machine, ...]:
    """The rows of all places."""
    speeds: dict[tuple[object, ...], Performance] = {}
    return tuple(_machine(catalog, fits, place, speeds) for place in everywhere)


def _machine(
    catalog: Catalog, fits: Fits, place: Place, speeds: dict[tuple[object, ...], Performance]
) -> Machine:
    """The row of one place; its speed only where the model fits."""
    node, gpu = place.node, place.gpu
    capacity = fits.capacity(place)
    spare, split = fits.split(place)
    verdict = _verdict(spare, capacity)
    speed = None if verdict == "no" else _speed(catalog, fits.recommended, place, split, speeds)
    return Machine(
        node=node.name,
        title=node.title,
        kind=node.kind,
        availability=node.availability if node.availability != "new" else gpu.availability,
        count=place.count,
        machines=place.machines,
        gpu=gpu.name,
        gpu_title=gpu.title,
        devices=place.devices,
        devices_used=sum(device.stop > device.first for device in split),
        unified=gpu.unified,
        capacity_bytes=capacity,
        verdict=verdict,
        spare_bytes=spare,
        largest_quant=fits.largest(place, fits=verdict != "no"),
        tokens_per_second=None if speed is None else speed.tokens_per_second,
        calibration=None if speed is None else speed.calibration,
        setting_command=None if gpu.setting is None else gpu.setting.command,
    )


def _verdict(spare: int, capacity: int) -> Verdict:
    """Fits, tight or not, by the rules of a plan."""
    if spare < 0:
        return "no"
    return "tight" if spare < accounting.TIGHT_SHARE * capacity else "fits"


def _speed(
    catalog: Catalog,
    at: Subject,
    place: Place,
    split: tuple[accounting.Assigned, ...],
    known: dict[tuple[object, ...], Performance],
) -> Performance:
    """Speed of one user at the workload's depth, nodes joined by their best network; remembered.

    `known` is by all it depends on: the device model, its slots, and what joins them.
    """
    names = place.node.networks if place.count > 1 else ()
    network = catalog.networks[names[0]] if names else None
    inner = accounting.inner_network(catalog, place.node)
    key = (
        place.gpu.name,
        tuple((device.first, device.stop) for device in split),
        place.node.gpus,
        None if network is None else network.name,
        None if inner is None else inner.name,
    )
    if key not in known:
        known[key] = accounting.performance_of(
            at, catalog, split, network, PlanRequest(model=at.row.name).input_tokens
        )[0]
    return known[key]
