"""Every offline method learns on a bandit; the long proofs, small. See bench/proofs."""

import pytest
import torch

from bench import bandit
from bench.proofs import offline_methods
from tests.training.alignment.losses.cases import CASES, Case

REWARDS = torch.tensor([0.2, 1.5, -1.0, 0.6])


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bandit_learns_what_judges_like(case: Case):
    data = bandit.data_for(case.method.data, REWARDS)
    if case.method.name == "dpop":  # among judges who differ every answer is chosen, none may fall
        data = bandit.all_pairs(REWARDS, certain=True)
    reference = torch.log_softmax(torch.tensor([0.0, -0.5, 0.5, 0.0]), dim=0)
    learned = bandit.fit(
        case.method.name, data, reference, steps=150, rate=0.03, **case.hyperparameters
    )
    if case.method.trains == "reward":
        assert learned.argsort().tolist() == REWARDS.argsort().tolist()
    else:
        before = bandit.expected_reward(reference, REWARDS)
        assert bandit.expected_reward(learned, REWARDS) > before + 0.2


def test_ipo_keeps_to_the_reference_where_judges_always_agree():
    told = offline_methods.certain_preferences(steps=400, rate=0.1, strengths=(0.1, 1.0))
    offline_methods.check_certain_preferences(told)


def test_dpop_keeps_the_chosen_answer_up():
    told = offline_methods.one_token_pairs(seed=0, pairs=16, steps=25, width=32, learned=40)
    offline_methods.check_one_token_pairs(told)


def test_thumbs_teach_about_what_pairs_teach():
    offline_methods.check_thumbs_against_pairs(
        offline_methods.thumbs_against_pairs(seeds=2, steps=400)
    )


def test_robust_dpo_sees_through_flipped_labels():
    told = offline_methods.flipped_labels(epsilon=0.3, seeds=1, steps=400)
    offline_methods.check_flipped_labels(told)
