"""Which modules a rule means, and which format a scheme gives a matrix."""

from __future__ import annotations

import pytest

from planner.catalog.load import load_catalog
from planner.errors import FactsError
from planner.quantization.checkpoint_formats import Plain
from planner.quantization.checkpoint_mixed import Format
from planner.quantization.default_schemes import MXFP4, NVFP4, default_scheme, format_name
from planner.quantization.scheme import Rule, Scheme, rule

CHECKPOINTS = [row for row in load_catalog().quantizations.values() if row.kind == "checkpoint"]


def meant(found: Rule, name: str) -> bool:
    return found.matches((name,))


@pytest.mark.parametrize(
    ("listed", "name", "yes"),
    [
        ("model.layers.1.mlp.gate", "layers.1.mlp.gate", True),
        ("model.layers.1.mlp.gate", "layers.1.mlp.gate_proj", False),
        ("model.layers.1", "layers.1.mlp.up_proj", True),
        ("model.layers.1", "layers.10.mlp.up_proj", False),
        ("language_model.model.layers.1.mlp", "layers.1.mlp.experts.7.up_proj", True),
        ("gate", "layers.1.mlp.gate", True),
        ("gate", "layers.1.mlp.gate_proj", False),
        ("self_attn", "layers.3.self_attn.q_proj", True),
        ("lm_head", "lm_head", True),
        ("lm_head", "language_model.lm_head", True),
        ("mtp.layers.0", "layers.0.mlp.up_proj", False),
    ],
)
def test_a_name_is_that_module_and_what_is_below(listed: str, name: str, yes: bool) -> None:
    assert meant(rule(None, names=[listed]), name) is yes


@pytest.mark.parametrize(
    ("glob", "name", "yes"),
    [
        ("model.layers.*.self_attn", "layers.5.self_attn.o_proj", True),
        ("model.layers.0*", "layers.0.mlp.up_proj", True),
        ("model.layers.0.*", "layers.0.mlp.up_proj", True),
        ("model.layers.1.self_attn*", "layers.10.self_attn.q_proj", False),
        ("*.mlp.shared_expert.*", "layers.3.mlp.shared_expert.up_proj", True),
        ("*.attn.*", "layers.3.self_attn.q_proj", False),
        ("mtp*", "mtp.layers.0.mlp.up_proj", True),
        ("mtp*", "layers.61.mlp.up_proj", False),
    ],
)
def test_a_star_is_any_text(glob: str, name: str, yes: bool) -> None:
    assert meant(rule(None, globs=[glob]), name) is yes


@pytest.mark.parametrize(
    ("pattern", "name", "yes"),
    [
        (r".*mlp\.(gate|up|gate_up|down)_proj.*", "layers.0.mlp.up_proj", True),
        (r".*mlp\.(gate|up|gate_up|down)_proj.*", "layers.0.mlp.experts.0.up_proj", False),
        (r"model\.layers\.[0-2]\.", "layers.2.mlp.up_proj", True),
        (r"model\.layers\.[0-2]\.", "layers.20.mlp.up_proj", False),
        (r"self_attn", "layers.0.self_attn.q_proj", False),
    ],
)
def test_a_pattern_matches_from_the_start_of_the_whole_name(
    pattern: str, name: str, yes: bool
) -> None:
    assert meant(rule(None, patterns=[pattern]), name) is yes


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(", "x" * 1000, "(.*)*", "[", "(?:x*)+", ".*" * 7 + "x"]
)
def test_patterns_that_are_wrong_or_take_for_ever_are_refused(pattern: str) -> None:
    with pytest.raises(FactsError, match="pattern of module names not understood"):
        rule(None, patterns=[pattern])


def test_names_with_too_many_stars_are_refused() -> None:
    with pytest.raises(FactsError, match="pattern of module names not understood"):
        rule(None, globs=["*" * 7 + "x"])


def test_rules_come_first_then_kept_roles_then_targets() -> None:
    scheme = Scheme(
        "mixed",
        (("mlp.experts.", MXFP4), ("", NVFP4)),
        (rule(None, names=["layers.0"]), rule(MXFP4, names=["layers.1.mlp.gate"])),
    )
    assert scheme.format_of("mlp.experts.up_proj", ("layers.2.mlp.experts.0.up_proj",)) == MXFP4
    assert scheme.format_of("self_attn.q_proj", ("layers.2.self_attn.q_proj",)) == NVFP4
    assert scheme.format_of("self_attn.q_proj", ("layers.0.self_attn.q_proj",)) == Plain()
    assert scheme.format_of("mlp.gate", ("layers.2.mlp.gate",)) == Plain()
    assert scheme.format_of("mlp.gate", ("layers.1.mlp.gate",)) == MXFP4
    assert scheme.format_of("lm_head", ("lm_head",)) == Plain()


def test_only_rules_that_number_experts_tell_them_apart() -> None:
    assert rule(None, names=["model.layers.3.mlp.experts.7.up_proj"]).by_expert
    assert not rule(None, names=["model.layers.3.mlp.experts"]).by_expert
    assert rule(None, patterns=[r".*experts\.7\..*"]).by_expert


@pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row.name)
def test_every_checkpoint_row_of_the_catalog_has_a_scheme(row: object) -> None:
    name = str(getattr(row, "name", ""))
    scheme = default_scheme(name, experts=True)
    assert scheme.name == name
    assert scheme.format_of("mlp.experts.up_proj", ()) != Plain(scheme.dtype)


@pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row.name)
def test_a_format_goes_by_the_name_of_its_row(row: object) -> None:
    name = str(getattr(row, "name", ""))
    scheme = default_scheme(name, experts=False)
    assert format_name(scheme.format_of("self_attn.q_proj", ())) == name


def test_ranks_follow_the_bits_of_a_matrix() -> None:
    def bits(name: str) -> int:
        form = default_scheme(name, experts=False).format_of("self_attn.q_proj", ())
        return sum(each.bytes for each in form.tensors(4096, 4096)) * 8 // 4096**2

    ordered = [bits(row.name) for row in sorted(CHECKPOINTS, key=lambda row: -row.rank)]
    assert ordered == sorted(ordered, reverse=True)


@pytest.mark.parametrize(("name", "form"), [("MXFP4", MXFP4), ("NVFP4", NVFP4)])
def test_fp4_without_a_config_is_of_routed_experts_where_there_are_any(
    name: str, form: Format
) -> None:
    for role in ("self_attn.q_proj", "mlp.shared_experts.up_proj", "mlp.up_proj"):
        assert default_scheme(name, experts=True).format_of(role, ()) == Plain()
        assert default_scheme(name, experts=False).format_of(role, ()) == form
    assert default_scheme(name, experts=True).format_of("mlp.experts.up_proj", ()) == form


@pytest.mark.parametrize("name", ["Q4_K_M", "EXL2-bpw", "MLX-7bit", "fp8"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(FactsError, match="no checkpoint format") as caught:
        default_scheme(name, experts=False)
    assert "NVFP4" in caught.value.hint
