"""The credit of tokens as a command: read back, it is the policy's log-ratio times beta."""

import json
from pathlib import Path

import pytest
import torch

from tests.training.alignment import tiny
from training.alignment.credit import credit_of_pairs, main
from training.alignment.log_probs import CompletionScorer
from training.alignment.models import load_model
from training.alignment.objective import Objective
from training.alignment.options import OptionError
from training.alignment.run_data import load_examples
from training.alignment.scoring import score

CPU = torch.device("cpu")


@pytest.fixture
def policy(tmp_path):
    return tiny.write_model(tmp_path / "policy", seed=1)


def test_the_credit_of_the_tokens_is_the_implicit_reward_of_their_answer(
    make_config, policy, tmp_path
):
    config = make_config(hyperparameters={"beta": 0.5})
    (tmp_path / "run.json").write_text(config.to_json())
    output = tmp_path / "credit.jsonl"
    words = ["--config", str(tmp_path / "run.json"), "--policy", str(policy), "--limit", "5"]
    assert main([*words, "--output", str(output)]) == 0
    lines = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [line["id"] for line in lines] == [str(number) for number in range(24, 29)]
    assert {line["beta"] for line in lines} == {0.5}

    examples, _ = load_examples(
        config, Objective.from_config(config), tiny.byte_tokenizer(), str(config.held_out_file)
    )
    roles, scores = ("chosen", "rejected"), []
    for folder in (policy, config.base_model):
        scorer = CompletionScorer(load_model(folder, dtype=torch.float32, device=CPU))
        with torch.no_grad():
            scores.append(score(scorer, examples[:5], roles, CPU))
    for role in roles:
        rewards = 0.5 * (scores[0][role] - scores[1][role])
        assert [line[role]["reward"] for line in lines] == pytest.approx(rewards.tolist(), abs=1e-4)
    first = lines[0]["chosen"]
    assert "".join(first["tokens"]) == "yes<|im_end|>"
    assert sum(first["credit"]) == pytest.approx(first["reward"])
    assert len({round(part, 6) for part in first["credit"]}) > 1


def test_tokens_that_others_wrote_have_no_credit(make_config, policy, tmp_path):
    talk = [*tiny.assistant("a"), *tiny.user("b"), *tiny.assistant("c")]
    row = {"prompt": tiny.user("?"), "chosen": talk, "rejected": tiny.assistant("no")}
    file = tiny.write_lines(tmp_path / "talk.jsonl", [row])
    (line,) = credit_of_pairs(make_config(max_length=128), policy, file, beta=1.0, limit=9)
    said = [
        token
        for token, credit in zip(line["chosen"]["tokens"], line["chosen"]["credit"], strict=True)
        if credit is not None
    ]
    assert "".join(said) == "a<|im_end|>c<|im_end|>"


@pytest.mark.parametrize(
    ("method", "beta", "problem"),
    [
        ("reward_bradley_terry", 0.1, "trains no policy"),
        ("simpo", None, "none that is about a reference"),
        ("ipo", None, "none that is about a reference"),
        ("dpo", -1.0, "below the smallest allowed value"),
    ],
)
def test_a_run_without_a_beta_to_a_reference_is_refused(make_config, policy, method, beta, problem):
    config = make_config(method=method)
    lines = credit_of_pairs(config, policy, Path(config.train_file), beta=beta, limit=1)
    with pytest.raises(OptionError, match=problem):
        list(lines)


def test_the_beta_of_means_a_token_is_that_of_no_token(make_config, policy):
    config = make_config(hyperparameters={"beta": 5.0, "normalisation": "averaged"})
    train = Path(config.train_file)
    with pytest.raises(OptionError, match="is of means a token"):
        list(credit_of_pairs(config, policy, train, beta=None, limit=1))
    (line,) = credit_of_pairs(config, policy, train, beta=0.1, limit=1)
    assert line["beta"] == 0.1


def test_the_command_says_in_one_sentence_what_is_missing(make_config, tmp_path, capsys):
    (tmp_path / "run.json").write_text(make_config(held_out_file=None).to_json())
    words = ["--config", str(tmp_path / "run.json"), "--output", str(tmp_path / "credit.jsonl")]
    assert main(words) == 1
    assert capsys.readouterr().err.strip() == (
        "data: the run has no held-out side; name a file with --data"
    )
    assert not (tmp_path / "credit.jsonl").exists()
