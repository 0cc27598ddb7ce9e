"""The replay of ggml's allocator, on graphs small enough to follow by hand."""

from __future__ import annotations

from planner.engines.llama_cpp.ggml_alloc import Tensor, reserved
from planner.engines.llama_cpp.graph_tape import PIPELINE_COPIES, Tape

UNIT = 32
SAME = ("same",)


def tensor(units: int, *operands: Tensor, in_place: bool = False) -> Tensor:
    return Tensor(units * UNIT, operands, layout=SAME, in_place=in_place)


def test_sizes_are_rounded_up_to_the_alignment() -> None:
    assert reserved([Tensor(1)]) == UNIT
    assert reserved([Tensor(UNIT + 1)]) == 2 * UNIT


def test_an_operand_is_freed_after_its_last_use() -> None:
    first = tensor(4)
    second = tensor(1, first)
    third = tensor(4, second)
    assert reserved([first, second, third]) == 5 * UNIT


def test_the_place_of_an_operand_nothing_else_needs_is_taken_over() -> None:
    first = tensor(4)
    assert reserved([first, tensor(4, first, in_place=True)]) == 4 * UNIT


def test_an_operand_needed_later_keeps_its_place() -> None:
    first = tensor(4)
    second = tensor(4, first, in_place=True)
    assert reserved([first, second, tensor(1, first, second)]) == 9 * UNIT


def test_another_layout_takes_a_place_of_its_own() -> None:
    first = tensor(4)
    other = Tensor(4 * UNIT, (first,), layout=("other",), in_place=True)
    assert reserved([first, other]) == 8 * UNIT


def test_a_view_keeps_what_it_shows_and_is_not_worked_on_in_place() -> None:
    first = tensor(4)
    view = Tensor(0, (first,), root=first, layout=SAME)
    changed = tensor(4, view, in_place=True)
    assert reserved([first, view, changed]) == 8 * UNIT
    first = tensor(4)
    view = Tensor(0, (first,), root=first)
    small = tensor(1, view)
    assert reserved([first, view, small, tensor(4, small)]) == 5 * UNIT


def test_the_smallest_hole_that_fits_is_taken() -> None:
    """Holes of 4 and of 2 units, kept apart: 2 units go into the latter, 3 into the former."""
    wide, wall, narrow, end = tensor(4), tensor(1), tensor(2), tensor(1)
    freed = tensor(1, wide, narrow)
    into_narrow, into_wide = tensor(2, freed), tensor(3, freed)
    last = tensor(1, wall, end, into_narrow, into_wide)
    assert reserved([wide, wall, narrow, end, freed, into_narrow, into_wide, last]) == 9 * UNIT


def test_kept_tensors_are_never_freed() -> None:
    first = Tensor(4 * UNIT, kept=True)
    second = tensor(1, first)
    assert reserved([first, second, tensor(4, second)]) == 9 * UNIT


def test_what_is_stored_elsewhere_takes_no_room() -> None:
    first = tensor(4)
    assert reserved([first, Tensor(UNIT, (first,), stored=True)]) == 4 * UNIT


def one_input(*, pipelined: bool) -> int:
    tape = Tape(8, pipelined=pipelined)
    given = tape.entry("given", 8 * UNIT)
    assert tape.entry("given", 8 * UNIT) is given
    tape.run(tape.value(1, given))
    return tape.bytes()


def test_a_pipeline_keeps_copies_of_its_inputs() -> None:
    assert one_input(pipelined=False) == 9 * UNIT
    assert one_input(pipelined=True) == (8 * PIPELINE_COPIES + 1) * UNIT


def test_operations_run_after_what_they_need_and_once() -> None:
    tape = Tape(8, pipelined=False)
    state = tape.value(4)
    left, right = tape.value(1, state), tape.value(2, state)
    tape.run(tape.value(1, left, right))
    tape.run(left)
    assert tape.bytes() == (4 + 1 + 2) * UNIT
