"""`plan [solve] MODEL`: the cluster, the split, the proof."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from planner.cli import catalogs, files, options, output, parsing
from planner.cli.exits import Exit
from planner.cli.progress import Progress
from planner.errors import ConflictingOptions

if TYPE_CHECKING:
    from planner.plan import Outcome
    from planner.report.blocks import Block


def solve(
    model: options.Model,
    quant: options.Quant = "auto",
    context: options.Context = None,
    concurrency: options.Concurrency = 1,
    min_speed: options.MinSpeed = 10.0,
    ttft: options.Ttft = None,
    tpot: options.Tpot = None,
    throughput: options.Throughput = None,
    input_tokens: options.InputTokens = 4000,
    output_tokens: options.OutputTokens = 1000,
    budget: options.Budget = None,
    budget_per_hour: options.BudgetPerHour = None,
    only: options.Only = None,
    exclude: options.Exclude = None,
    stock: options.StockList = None,
    max_nodes: options.MaxNodes = 4,
    used: options.Used = False,
    mixed_families: options.MixedFamilies = False,
    engine: options.AnyEngine = None,
    engine_build: options.EngineBuild = None,
    kv_type: options.KvType = "f16",
    ubatch: options.Ubatch = 512,
    catalog: options.CatalogFolders = None,
    time_limit: options.TimeLimit = 60.0,
    explain_speed: options.ExplainSpeed = False,
    as_json: options.Json = False,
    plain: options.Plain = False,
    output_file: options.OutputFile = None,
    force: options.Force = False,
) -> int:
    """The cheapest cluster for MODEL, its split and the proof."""
    _check_budgets(budget, budget_per_hour)
    stocks = parsing.name_counts("--stock", "=", stock or (), zero=True)
    if output_file is not None:
        files.check_new(output_file, force=force)
    from planner.request import PlanRequest, Stock
    from planner.solver import solve as find

    request = PlanRequest.model_validate(
        {
            "model": model,
            "quant": quant,
            "engine": engine,
            "engine_build": engine_build,
            "context": context,
            "concurrency": concurrency,
            "budget": budget,
            "budget_per_hour": budget_per_hour,
            "min_speed": min_speed,
            "ttft": ttft,
            "tpot": tpot,
            "throughput": throughput,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "kv_type": kv_type,
            "ubatch": ubatch,
            "stock": tuple(Stock(node=name, count=amount) for name, amount in stocks),
            "only": parsing.names(only or ()),
            "exclude": parsing.names(exclude or ()),
            "used": used,
            "mixed_families": mixed_families,
            "max_nodes": max_nodes,
            "time_limit": time_limit,
        }
    )
    rows = catalogs.load_with(catalog, model)
    with Progress() as progress:
        outcome = find(request, rows, progress)
    output.answer(outcome, lambda: _blocks(outcome, explain_speed), as_json=as_json, plain=plain)
    output.note(f"took {progress.elapsed:.1f} s")
    if output_file is not None:
        files.write_new(output_file, output.to_json(outcome) + "\n", force=force)
        output.note(f"wrote {output_file}")
    return _exit(outcome)


def _check_budgets(budget: Decimal | None, per_hour: Decimal | None) -> None:
    if budget is not None and per_hour is not None:
        raise ConflictingOptions(
            "--budget and --budget-per-hour together",
            hint="--budget buys, --budget-per-hour rents: give one of them",
        )


def _blocks(outcome: Outcome, explain_speed: bool) -> list[Block]:
    import datetime

    from planner.report.plan import render

    return render(outcome, datetime.date.today(), explain_speed=explain_speed)


def _exit(outcome: Outcome) -> int:
    if outcome.kind == "infeasible":
        return Exit.NO
    choices = (outcome, outcome.choices.best_value, outcome.choices.fastest)
    proved = all(choice is None or choice.solver.status == "optimal" for choice in choices)
    return Exit.YES if proved else Exit.TIME_LIMIT
