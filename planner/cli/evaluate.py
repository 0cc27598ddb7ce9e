"""`plan evaluate MODEL`: the memory of every device of a layout the user names."""

from __future__ import annotations

from planner.cli import catalogs, files, options, output, parsing
from planner.cli.exits import Exit
from planner.errors import ConflictingOptions


def evaluate(
    model: options.Model,
    quant: options.Quant = "auto",
    node: options.NodeList = None,
    devices: options.Devices = None,
    split: options.Split = None,
    engine: options.Engine = None,
    engine_build: options.EngineBuild = None,
    tensor_parallel: options.TensorParallel = None,
    pipeline_parallel: options.PipelineParallel = 1,
    data_parallel: options.DataParallel = 1,
    expert_parallel: options.ExpertParallel = 1,
    decode_context_parallel: options.DecodeContextParallel = 1,
    redundant_experts: options.RedundantExperts = 0,
    utilization: options.Utilization = None,
    max_num_batched_tokens: options.MaxNumBatchedTokens = None,
    max_num_seqs: options.MaxNumSeqs = None,
    context: options.Pool = None,
    slots: options.Slots = 1,
    kv_type: options.KvType = "f16",
    ubatch: options.Ubatch = 512,
    flash_attention: options.FlashAttention = "on",
    swa_full: options.SwaFull = False,
    catalog: options.CatalogFolders = None,
    explain_speed: options.ExplainSpeed = False,
    as_json: options.Json = False,
    plain: options.Plain = False,
    output_file: options.OutputFile = None,
    force: options.Force = False,
) -> int:
    """A layout you name: memory of every device, verdict."""
    if (node is None) == (devices is None):
        raise ConflictingOptions(
            "give either --node or --devices",
            hint="e.g. --node dgx-spark:2, or --devices 8 for the memory alone",
        )
    named = parsing.name_counts("--node", ":", node or (), zero=False)
    shares = None if split is None else parsing.counts("--split", split)
    if output_file is not None:
        files.check_new(output_file, force=force)
    from planner.report.evaluation import render
    from planner.request import EvaluateRequest, NodeCount
    from planner.services.evaluate import evaluate as judge

    request = EvaluateRequest.model_validate(
        {
            "model": model,
            "quant": quant,
            "engine": engine,
            "engine_build": engine_build,
            "nodes": tuple(NodeCount(node=name, count=amount) for name, amount in named),
            "devices": devices,
            "split": shares,
            "context": context,
            "slots": slots,
            "tensor_parallel": tensor_parallel,
            "pipeline_parallel": pipeline_parallel,
            "data_parallel": data_parallel,
            "expert_parallel": expert_parallel,
            "decode_context_parallel": decode_context_parallel,
            "redundant_experts": redundant_experts,
            "utilization": utilization,
            "max_num_batched_tokens": max_num_batched_tokens,
            "max_num_seqs": max_num_seqs,
            "kv_type": kv_type,
            "ubatch": ubatch,
            "flash_attention": flash_attention == "on",
            "swa_full": swa_full,
        }
    )
    evaluation = judge(request, catalogs.load_with(catalog, model))
    output.answer(
        evaluation,
        lambda: render(evaluation, explain_speed=explain_speed),
        as_json=as_json,
        plain=plain,
    )
    if output_file is not None:
        files.write_new(output_file, output.to_json(evaluation) + "\n", force=force)
        output.note(f"wrote {output_file}")
    return Exit.NO if evaluation.verdict == "no" else Exit.YES
