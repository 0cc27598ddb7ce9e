"""What SGLang holds on each rank of a layout: weights, its reserve and the pool of its KV cache."""
