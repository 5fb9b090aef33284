"""Every worked value is held by a test that names it, or is of no method that there is here."""

import ast
from pathlib import Path
from typing import Any

from tests.training.alignment.losses.test_vectors import DATA, PAIRS, VECTORS

OTHER_METHODS = {
    "pairwise_preference_model", "token_level_rm_bce", "tdpo1", "tdpo2", "dro_v", "lipo_lambda",
    "rrhf", "pro", "d2o", "npo", "nash_md_mixture", "nash_md_pg", "nash_md_trl_variant", "sppo",
    "sppo_hard_trl", "dno", "dno_prct", "cringe_token", "cringe_pairwise", "npg_trpo_two_action",
    "dcppo_stage1", "dcppo_stage2_ridge_tabular", "paft_ties_merge", "paft_l1_sft",
}  # fmt: skip
NOT_A_LOSS = {"rso_acceptance", "gao_overoptimisation", "bon_kl", "self_rewarding_pair"}


def named_by_tests(file: Path) -> set[Any]:
    """What stands literally in the tests of a file, their parameters included."""
    nodes = ast.walk(ast.parse(file.read_text("utf-8")))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    tests = [function for function in functions if function.name.startswith("test_")]
    return {one.value for test in tests for one in ast.walk(test) if isinstance(one, ast.Constant)}


def test_every_worked_value_is_used_or_of_no_method_here():
    """So that one that is added, or whose test is removed, cannot be overlooked."""
    files = [
        file
        for file in Path(__file__).parents[1].rglob("test_*.py")
        if DATA.name in file.read_text("utf-8")
    ]
    used = set(PAIRS).union(*map(named_by_tests, files))
    assert set(VECTORS) - used == OTHER_METHODS | NOT_A_LOSS
