"""What the figures of a comparison are made of, by worked values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench.training.compare_online import computed_online, same
from bench.training.figures import (
    agreement,
    apart,
    computed_operations,
    counts,
    parameters,
    resources,
    useful_operations,
    useful_tokens,
    weights_used,
)

PAIR = {"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5], "rejected_ids": [6], "label": False}
THUMB = {"prompt_ids": [1, 2], "completion_ids": [3], "mismatched_ids": [4, 5, 6], "label": True}


def test_useful_tokens_count_a_prompt_with_each_answer_and_no_padding() -> None:
    assert useful_tokens([PAIR]) == (3 + 2) + (3 + 1)
    assert useful_tokens([PAIR, THUMB]) == 9 + (2 + 1) + (2 + 3)


def test_useful_operations_tell_training_from_looking() -> None:
    assert useful_operations([PAIR], 10, frozen=False) == 6 * 10 * 9
    assert useful_operations([PAIR], 10, frozen=True) == 4 * 10 * 9
    assert useful_operations([THUMB], 10, frozen=False) == 10 * (6 * 3 + 2 * 5)


def test_computed_operations_count_a_shared_prompt_once_and_project_answers_alone() -> None:
    """The prompt of three and answers of two and one; a looked-at answer has a pass of its own."""
    pair = 10 * (3 + 2 + 1) + 7 * (2 + 1)
    assert computed_operations([PAIR], 10, 7, frozen=False) == 6 * pair
    assert computed_operations([PAIR], 10, 7, frozen=True) == 4 * pair
    thumb, looked_at = 10 * (2 + 1) + 7 * 1, 10 * (2 + 3) + 7 * 3
    assert computed_operations([THUMB], 10, 7, frozen=False) == 6 * thumb + 2 * looked_at
    assert computed_operations([PAIR], 10, 7, frozen=False) < useful_operations(
        [PAIR], 17, frozen=False
    )
    assert computed_online(6.0, 20.0, 10, 7) == 12 * (10 * 26 + 7 * 20)


def test_losses_agree_within_a_thousandth_at_every_one_of_the_first_steps() -> None:
    assert agreement([0.7, 0.6], [0.7009, 0.5991])["agrees"]
    found = agreement([0.7, 0.6], [0.7011, 0.5989])
    assert not found["agrees"]
    assert found["largest_difference_of_losses"] == pytest.approx(0.0011)
    assert found["difference_of_mean_losses"] == 0.0


def test_losses_after_the_first_twenty_steps_are_not_compared() -> None:
    found = agreement([0.5] * 21, [0.5] * 20 + [0.9])
    assert (found["agrees"], found["steps_compared"]) == (True, 20)


def test_a_float32_run_stands_beside_both_sides() -> None:
    found = agreement([0.7, 0.6], [0.71, 0.6], [0.7, 0.61])
    assert found["prefloop_to_float32"] == {"largest": 0.01, "mean": 0.005}
    assert found["trl_to_float32"] == {"largest": 0.01, "mean": 0.01}


def test_figures_count_by_their_own_losses_whatever_float32_says() -> None:
    assert counts(agreement([0.7], [0.7005], [0.5])) == {"counts": True}
    refused = counts(agreement([0.7, 0.6], [0.71, 0.6], [0.7, 0.61]))
    assert not refused["counts"]
    assert refused["does_not_count_because"] == (
        "at one of the first 2 steps the losses differ by 0.01, where 0.001 is allowed; "
        "from our float32 run ours differs by 0.01 and TRL's by 0.01"
    )


def test_sequences_of_different_length_are_not_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        apart([1.0], [1.0, 2.0])


def test_resources_are_medians_and_the_share_is_of_the_limit() -> None:
    runs = [{"seconds": s, "cpu_seconds": 1.0, "peak_mb": 10.0 * s} for s in (4.0, 2.0, 9.0)]
    found = resources(runs, operations=200.0, limit=100.0)
    assert (found["peak_mb"], found["share_of_matrix_limit"]) == (40, 0.5)
    assert found["seconds_of_each_run"] == [4.0, 2.0, 9.0]
    assert "computed_share_of_matrix_limit" not in found
    both = resources(runs, operations=800.0, limit=100.0, computed=300.0)
    assert (both["share_of_matrix_limit"], both["computed_share_of_matrix_limit"]) == (2.0, 0.75)


def test_parameters_are_counted_from_the_headers(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3, 4), "b": torch.zeros(5)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 2, "hidden_size": 4}))
    assert parameters(tmp_path) == 17
    assert weights_used(tmp_path, projects=True) == 17
    assert weights_used(tmp_path, projects=False) == 9


def test_online_sides_must_agree_in_their_gradients_too() -> None:
    mine = {"losses": [0.0, 0.0], "figures": [{"grad_norm": 2.0}, {"grad_norm": 4.0}]}
    other = {"losses": [0.0, 0.0], "figures": [{"grad_norm": 2.0}, {"grad_norm": 4.01}]}
    assert same(mine, mine)["agrees"]
    found = same(mine, other)
    assert not found["agrees"]
    assert found["largest_difference_of_gradient_norms"] == pytest.approx(0.002494)
    assert found["largest_difference_of_losses"] == 0.0
    assert "gradients' norms by 0.002494 of them" in counts(found)["does_not_count_because"]
