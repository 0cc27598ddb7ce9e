"""Config fields that set no weights: angles, factors, training, generation and text handling.

Model layer. Needed only for a `model_type` without a family, where every field must be understood.
"""

from __future__ import annotations

_PARTS = (
    "_scaling",
    "_token",
    "aux_loss",
    "chunk_size_feed_forward",
    "drop",
    "dtype",
    "eps",
    "init",
    "norm_topk",
    "output_",
    "pretraining",
    "quantization",
    "rope",
    "rotary",
    "routed_scaling",
    "router_jitter",
    "scal",
    "softcap",
    "transformers_version",
)
"""Parts of names of such fields."""

_FIELDS = frozenset(
    {
        "add_cross_attention",
        "architectures",
        "attn_implementation",
        "auto_map",
        "cache_implementation",
        "chunk_size",
        "context_window_size",
        "ep_size",
        "first_k_dense_replace",
        "full_attention_interval",
        "full_attn_mod",
        "head_dim",
        "hc_sinkhorn_iters",
        "hidden_act",
        "hidden_activation",
        "id2label",
        "index_share_for_mtp_iteration",
        "index_topk",
        "interpolate_factor",
        "is_encoder_decoder",
        "label2id",
        "length_penalty",
        "mamba_hidden_act",
        "max_length",
        "max_window_layers",
        "mlp_hidden_act",
        "model_type",
        "moe_layer_freq",
        "moe_renormalize",
        "moe_router_activation_func",
        "n_group",
        "num_beam_groups",
        "num_beams",
        "num_expert_group",
        "num_key_value_heads",
        "num_logits_to_keep",
        "num_return_sequences",
        "original_max_position_embeddings",
        "prefill_chunk_size",
        "qk_head_dim",
        "repetition_penalty",
        "return_dict",
        "score_function",
        "scoring_func",
        "seq_aux",
        "seq_length",
        "sliding_window_size",
        "swiglu_alpha",
        "swiglu_limit",
        "temperature",
        "tokenizer_class",
        "top_k",
        "top_p",
        "topk_group",
        "topk_method",
        "typical_p",
        "use_bidirectional_attention",
        "use_cache",
        "use_grouped_topk",
        "use_mamba_kernels",
        "use_mrope",
        "use_sliding_window",
        "audio_config",
        "vision_config",
    }
)


def sets_no_weights(field: str) -> bool:
    """Whether a field is known to set no weights; ours begin with `_`."""
    return field in _FIELDS or field.startswith("_") or any(part in field for part in _PARTS)
