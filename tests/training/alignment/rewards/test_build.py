import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.rewards.rollouts import rollout
from training.alignment.options import OptionError
from training.alignment.rewards.build import build_rewards
from training.alignment.rewards.protocol import RewardError
from training.alignment.rewards.settings import parse_rewards

CPU = torch.device("cpu")


def build(settings):
    return build_rewards(settings, tokenizer=tiny.byte_tokenizer(), device=CPU)


def test_settings_become_named_weighted_sources():
    composed = build(
        {
            "brief": {"kind": "length", "free": 2, "limit": 4, "weight": 0.5},
            "form": {"kind": "format", "pattern": "[a-z]+"},
            "right": {"kind": "verifier", "verifier": "exact_answer", "weight": 2.0},
        }
    )
    scores = composed.score([rollout("ab", answer="ab"), rollout("ABC", answer="d")])
    assert list(scores.parts) == ["brief", "form", "right", "form_timed_out"]
    np.testing.assert_allclose(scores.total, [-0.25 + 0.0 + 2.0, -0.5 - 1.0 + 0.0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"a": {"kind": "magic"}}, "a.kind: 'magic' is not one of reward_model, verifier"),
        ({"a": {}}, "a.kind: None is not one of"),
        ({"a": "length"}, "a.kind: None is not one of"),
        ({"a": {"kind": ["length"]}}, "a.kind: .* is not one of"),
        ({"a": {"kind": "length", "fre": 1}}, "a.fre: unknown option"),
        ({"a": {"kind": "length", "free": 9, "limit": 3}}, "a.free: 9 must be below"),
        ({"a": {"kind": "verifier"}}, "a.verifier: is required"),
        ({"a": {"kind": "reward_model", "folders": []}}, "a.folders: needs the folder"),
        (
            {"a": {"kind": "reward_model", "folders": ["x"], "combine": "uncertainty"}},
            "a.uncertainty_weight: needs a weight above 0, or choose mean",
        ),
        (
            {"a": {"kind": "reward_model", "folders": ["x"], "uncertainty_weight": 0.5}},
            "a.uncertainty_weight: 0.5 is only for combine uncertainty, not for mean",
        ),
        ({"std": {"kind": "length"}}, "'std': a source's name is 1 to 40 small letters"),
        ({"missing_end": {"kind": "length"}}, "'missing_end': .* none of std, missing_end"),
        ({"": {"kind": "length"}}, "'': a source's name is"),
        ({"a/b": {"kind": "length"}}, "'a/b': a source's name is"),
        ({"a" * 41: {"kind": "length"}}, "a': a source's name is"),
        ({"a": {"kind": "format", "pattern": "("}}, r"a.pattern: '\(' is no regular expression"),
        ({"a": {"kind": "length", "weight": "x"}}, "a.weight: 'x' is not a number"),
    ],
)
def test_wrong_settings_name_the_source_and_the_key(settings, message):
    with pytest.raises(OptionError, match=message):
        parse_rewards(settings)


def test_a_source_that_cannot_be_loaded_is_named():
    with pytest.raises(RewardError, match="reward source 'a': there is no verifier 'nobody'"):
        build({"a": {"kind": "verifier", "verifier": "nobody"}})
    with pytest.raises(RewardError, match="reward source 'a': a judge is asked through the worker"):
        build({"a": {"kind": "judge", "judge": "j"}})


def test_a_form_can_check_settings_without_torch():
    script = (
        "import sys; from training.alignment.rewards.settings import parse_rewards; "
        "from training.alignment.rollouts.settings import parse_rollouts; "
        "parse_rewards({'a': {'kind': 'reward_model', 'folders': ['x']}}); parse_rollouts({}); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
