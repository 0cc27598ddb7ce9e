"""Reading the memory table of llama-server."""

from __future__ import annotations

import pytest

from planner.engines.llama_cpp.log import LoggedMemory, memory_table
from planner.errors import FileError

PREFIX = "0.00.193.158 I common_memory_breakdown_print: "
HEADER = (
    "| memory breakdown [MiB]     | total    free      self    model   context   compute"
    "    unaccounted |"
)
HOST = "|   - Host                   |                    1222 =   1190 +       0 +      32"
ROWS = [
    "|   - RPC0 (127.0.0.1:51071) | 24105 = 24105 + (519709 = 519313 +     139 +     256) +"
    "     -519709 |",
    "|   - CUDA1 (RTX PRO 6000 (Max-Q)) | 97249 = 9013 + ( 87530 =  85000 +    1530 +    1000) +"
    "         706 |",
    HOST + "                |",
]


def test_rows_are_read_with_total_free_and_what_is_unaccounted():
    text = "\n".join(PREFIX + line for line in [HEADER, *ROWS]) + "\nmore"
    rpc, cuda, host = memory_table(text)
    assert rpc == LoggedMemory(
        name="RPC0",
        title="127.0.0.1:51071",
        total_mib=24105,
        free_mib=24105,
        model_mib=519313,
        context_mib=139,
        compute_mib=256,
        unaccounted_mib=-519709,
    )
    assert (cuda.name, cuda.title, cuda.unaccounted_mib) == ("CUDA1", "RTX PRO 6000 (Max-Q)", 706)
    assert host == LoggedMemory(name="Host", model_mib=1190, context_mib=0, compute_mib=32)


def test_the_last_table_of_a_log_counts():
    earlier = [HEADER, ROWS[0].replace("519313", "1"), ROWS[2]]
    rows = memory_table("\n".join([*earlier, "loading", HEADER, ROWS[0], ROWS[2]]))
    assert [row.model_mib for row in rows] == [519313, 1190]


@pytest.mark.parametrize("text", ["", "llama-server: loading", HEADER + "\nnothing"])
def test_a_log_without_a_table_says_how_to_get_one(text):
    with pytest.raises(FileError) as error:
        memory_table(text)
    assert error.value.hint
