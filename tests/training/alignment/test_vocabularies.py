"""A reference that numbers tokens otherwise than the policy is refused wherever the two meet.

Of an online run see test_online_start.py.
"""

from pathlib import Path

import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.test_data_kinds import run
from training.alignment.credit import credit_of_pairs
from training.alignment.evaluation import evaluate_model
from training.alignment.journal import Journal
from training.alignment.options import OptionError


@pytest.fixture
def foreign(tmp_path):
    return tiny.write_foreign(tmp_path / "foreign")


@pytest.mark.parametrize("method", ["dpo", "sft"])
def test_a_run_with_a_reference_of_another_vocabulary_is_refused(make_config, foreign, method):
    """The first loss, which would tell, is held to nothing where another reference is named."""
    words = "reference_model: foreign has another vocabulary than the policy tiny"
    with pytest.raises(OptionError, match=words):
        run(make_config(method=method, reference_model=str(foreign)))


def test_a_reward_model_is_compared_with_no_reference(make_config, foreign):
    run(make_config(method="reward_bradley_terry", reference_model=str(foreign), max_steps=1))


def test_a_policy_of_another_vocabulary_is_not_evaluated(make_config, foreign, tmp_path):
    given = tmp_path, torch.device("cpu"), Journal(tmp_path, active=False)
    with pytest.raises(OptionError, match=r"base_model: tiny has another .* policy foreign"):
        evaluate_model(make_config(), foreign, *given)
    assert not (tmp_path / "evaluation.json").exists()


def test_a_policy_of_another_vocabulary_has_no_credit(make_config, foreign):
    config = make_config()
    lines = credit_of_pairs(config, foreign, Path(config.train_file), beta=0.1, limit=1)
    with pytest.raises(OptionError, match=r"base_model: tiny has another .* policy foreign"):
        next(lines)
