"""PPO-ptx's second term as the online loop adds it: what reaches the weights and the log."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.online_toys import Reward, share_of, sources, write_prompts
from training.alignment.journal import Journal
from training.alignment.models import load_model
from training.alignment.offline import make_accelerator
from training.alignment.online import pretraining_step
from training.alignment.online_run import prepare

CPU = torch.device("cpu")
GAMMA, STEP, UPDATE, ANSWERS = 3.7, 4, 1, 3


@pytest.fixture
def run(make_config, tmp_path):
    rows = [
        {"prompt": tiny.user("So?"), "completion": tiny.assistant("y" * length)}
        for length in (1, 5, 9)
    ]
    config = make_config(
        method="ppo_ptx", held_out_file=None, batch_size=4, prompts_per_step=4, max_new_tokens=6,
        train_file=str(write_prompts(tmp_path / "prompts.jsonl", 4)), max_prompt_length=40,
        ptx_file=str(tiny.write_lines(tmp_path / "ptx.jsonl", rows)), temperature=0.5,
        hyperparameters={"ptx_coefficient": GAMMA, "ptx_examples": 2},
    )  # fmt: skip
    journal = Journal(Path(config.output_dir), active=True)
    return prepare(
        config, make_accelerator(CPU), journal, sources(Reward("vowels", share_of("aeiou")))
    )


def test_the_gradient_is_gamma_times_that_of_the_mean_over_all_tokens(run):
    """Over a micro-batch and a rest, of texts of different lengths."""
    models = {name: run.accelerator.prepare_model(one) for name, one in run.modules.items()}
    told = pretraining_step(run, models, (STEP, UPDATE), ANSWERS, lambda: False)

    seeds = [run.config.seed, STEP, UPDATE, 1]
    drawn = np.random.default_rng(seeds).integers(len(run.ptx), size=2 * ANSWERS)
    texts = [run.ptx[number].sequences["completion"] for number in drawn]
    assert len({len(text.completion) for text in texts}) > 1
    plain = load_model(run.config.base_model, dtype=torch.float32, device=CPU)
    total = torch.zeros(())
    for text in texts:
        ids = torch.from_numpy(np.concatenate([text.prompt, text.completion])).long()
        logps = plain(ids[None]).logits[0, :-1].log_softmax(dim=1).gather(1, ids[1:, None])
        total = total - logps[len(text.prompt) - 1 :].sum()
    mean = total / sum(len(text.completion) for text in texts)
    (GAMMA * mean).backward()

    assert float(told["ptx_loss"]) == pytest.approx(mean.item(), rel=1e-5)
    own = dict(run.policy.model.named_parameters())
    for name, weight in plain.named_parameters():
        assert torch.allclose(own[name].grad, weight.grad, rtol=1e-3, atol=1e-5), name
    assert all(weight.grad is None for weight in run.critic.parameters())
