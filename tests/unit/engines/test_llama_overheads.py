"""What a device holds beside llama.cpp's own table."""

from __future__ import annotations

import pytest

from planner.catalog.load import load_catalog
from planner.engines.llama_cpp.overheads import attention_copy, pads_rows, runtime
from planner.engines.llama_cpp.settings import Settings
from planner.model.huggingface import architecture_from_config
from planner.units import MIB


def architecture(model: str):
    return architecture_from_config(load_catalog().model(model).config)


def settings(**fields) -> Settings:
    return Settings(**{"context": 32768, "rpc_pipelines": True, "mtp_has_kv": False, **fields})


@pytest.mark.parametrize(
    ("gpu", "size", "assumed"),
    [
        ("rtx-pro-6000-se-96", 753 * MIB, False),
        ("rtx-5090-32", 2_100_000_000, False),
        ("h100-sxm-80", 710 * MIB, True),
        ("apple-m3-ultra-512", 256 * MIB, True),
    ],
)
def test_a_context_is_the_logged_one_or_said_to_be_assumed(gpu, size, assumed):
    row = load_catalog().gpu(gpu)
    overhead = runtime(row, architecture("kimi-k2"), settings())
    assert overhead.bytes == size
    assert (overhead.assumption is not None) == assumed
    if overhead.assumption:
        assert row.title in overhead.assumption


def test_cuda_copies_a_quantized_cache_of_one_layer_to_f16():
    """Llama 70B: 8 heads of 128, K and V, 32,768 cells, 2 B each."""
    llama, gpu = architecture("llama-3.1-70b"), load_catalog().gpu("h100-sxm-80")
    both = settings(key_type="q8_0", value_type="q8_0")
    assert attention_copy(gpu, llama, both) == 32768 * 2 * 1024 * 2
    assert attention_copy(gpu, llama, settings(key_type="q8_0")) == 32768 * 1024 * 2
    assert attention_copy(gpu, llama, settings()) == 0
    slow = settings(key_type="q8_0", flash_attention=False)
    assert attention_copy(gpu, llama, slow) == 0
    apple = load_catalog().gpu("apple-m3-ultra-512")
    assert attention_copy(apple, llama, both) == 0
    assert runtime(gpu, llama, both).bytes == 710 * MIB + 32768 * 2 * 1024 * 2


def test_only_the_cuda_code_pads_rows():
    catalog = load_catalog()
    assert pads_rows(catalog.gpu("h100-sxm-80"))
    assert not pads_rows(catalog.gpu("apple-m3-ultra-512"))
