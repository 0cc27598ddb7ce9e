"""What vLLM holds on each rank of a layout: weights, overheads and the pool of its KV cache."""
