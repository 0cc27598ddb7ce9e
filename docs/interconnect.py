"""What `topology.md` says of the accuracy of collectives, from the tables of the reality tests."""

from __future__ import annotations

from docs.reference import table


def collectives() -> str:
    """Errors of all-reduces predicted without the rows of the same devices."""
    from tests.reality.test_collectives import engine_rows, errors_without, is_alone

    rows = []
    for (gpu, ranks), measured in engine_rows().items():
        alone = is_alone(gpu)
        errors = errors_without(measured, bare=alone)
        from_what = "data sheets" if alone else "others on the link"
        rows.append((f"{ranks} x `{gpu}`", from_what, *(f"{error:+.0%}" for error in errors)))
    return table(("devices", "from", "smallest", "16 KiB", "1 MiB", "1 GiB"), rows)
