"""Block sizes of storage types and the quantizer's per-tensor rules."""
