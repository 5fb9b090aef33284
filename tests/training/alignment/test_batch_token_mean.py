"""A likelihood that is one mean over all tokens of a step, as popular code takes a batch's."""

import math

import numpy as np
import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.test_data_kinds import CPU, examples, run, steps
from training.alignment.models import load_model

ROWS = [
    {
        "prompt": tiny.user("why" * (number % 2) + f"{number}?"),
        "chosen": tiny.assistant("yes" + "!" * (number % 4) ** 2),
        "rejected": tiny.assistant("no" + "." * (number % 3)),
        "probability": 0.6 + 0.2 * (number % 3),
        "weight": 1.0 + number % 2,
    }
    for number in range(12)
]


def mean_by_hand(config, *, whole_text):
    """Nats a token and tokens a pair, by weights and by the probability of each answer."""
    model = load_model(config.base_model, dtype=torch.float32, device=CPU)
    nats = tokens = weights = 0.0
    for example in examples(config):
        for role, share in (("chosen", example.target), ("rejected", 1.0 - example.target)):
            one = example.sequences[role]
            ids = torch.from_numpy(np.concatenate([one.prompt, one.completion])).long()
            with torch.no_grad():
                logps = model(ids[None]).logits[0, :-1].log_softmax(dim=1)
            found = logps.gather(1, ids[1:, None])[0 if whole_text else -len(one.completion) :]
            nats -= example.weight * share * float(found.sum())
            tokens += example.weight * share * len(found)
        weights += example.weight
    return nats / tokens, tokens / weights


@pytest.mark.parametrize(
    ("method", "options", "rest"),
    [
        ("orpo", {"odds_ratio_weight": 0.0}, 0.0),
        ("orpo", {"odds_ratio_weight": 0.0, "likelihood": "text"}, 0.0),
        ("cpo", {"beta": 1e-6}, math.log(2)),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 12])
def test_a_step_has_one_likelihood_over_all_its_tokens(
    make_config, tmp_path, method, options, rest, batch_size
):
    config = make_config(
        method=method,
        train_file=str(tiny.write_lines(tmp_path / "rows.jsonl", ROWS)),
        soft_labels=True,
        max_steps=1,
        batch_size=batch_size,
        gradient_accumulation=12 // batch_size,
        hyperparameters={**options, "nll": "batch_token_mean"},
    )
    run(config)
    mean, tokens = mean_by_hand(config, whole_text="likelihood" in options)
    assert steps(config)[0]["loss"] == pytest.approx(mean + rest, rel=1e-4)
    assert steps(config)[0]["step_tokens"] == pytest.approx(tokens)


def test_no_other_setting_tells_of_a_steps_tokens(make_config):
    config = make_config(method="orpo", max_steps=1)
    run(config)
    assert "step_tokens" not in steps(config)[0]
