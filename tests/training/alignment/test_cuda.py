"""On a GPU: the numbers of the CPU, exact resume, sampling, and what running out of memory says.

Left out where there is no GPU. A machine that has one need not have the web's packages:
`python -m pytest -c /dev/null --rootdir . --confcutdir tests/training/alignment FILE`.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.alignment import tiny
from tests.training.alignment.conftest import losses, read_metrics
from tests.training.alignment.online_toys import Reward, share_of, sources, write_prompts
from tests.training.alignment.test_online import LEARNS
from training.alignment import online
from training.alignment.failures import reason
from training.alignment.generation import Engine, Request
from training.alignment.log_probs import CompletionScorer
from training.alignment.methods import methods
from training.alignment.models import load_model, load_tokenizer, resolve_device
from training.alignment.offline import make_accelerator, train
from training.alignment.scoring import packs, score_sequences
from training.alignment.supervision import StopRequest
from training.alignment.tokenization import TokenSequence, encode_prompt, end_tokens
from training.alignment.train import run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU is here")
TEXTS = ("a", "what is this?", "z" * 70, "bb")
OFFLINE = [method.name for method in methods() if method.loop == "offline"]


def go(config):
    assert train(config, make_accelerator(resolve_device(config.device)), StopRequest())
    return losses(config)


@pytest.mark.parametrize("method", OFFLINE)
def test_the_losses_are_those_of_the_cpu(make_config, tmp_path, method):
    here = go(make_config(method=method, device="cpu", output_dir=str(tmp_path / "cpu")))
    there = go(make_config(method=method, device="cuda", output_dir=str(tmp_path / "cuda")))
    assert there == pytest.approx(here, rel=2e-3, abs=2e-4)


@pytest.mark.parametrize("changes", [{}, {"adapter": "lora"}, {"gradient_checkpointing": True}])
def test_bfloat16_stays_near_float32(make_config, tmp_path, changes):
    exact = go(make_config(device="cuda", output_dir=str(tmp_path / "exact"), **changes))
    low = go(
        make_config(device="cuda", dtype="bfloat16", output_dir=str(tmp_path / "low"), **changes)
    )
    assert low[1] == pytest.approx(np.log(2), abs=5e-3)
    assert low == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_rows_score_as_padded_ones_do(dtype):
    random = np.random.default_rng(0)
    prompts = [random.integers(1, 259, length).astype(np.int32) for length in (9, 9, 4)]
    answers = [random.integers(1, 259, length).astype(np.int32) for length in (12, 3, 7, 5)]
    sequences = [
        TokenSequence(prompts[place], answer)
        for place, answer in zip((0, 0, 1, 2), answers, strict=True)
    ]
    device = torch.device("cuda")
    scorer = CompletionScorer(tiny.llama().to(device), dtype)
    assert packs(scorer)
    together = score_sequences(scorer, sequences, device)
    alone = CompletionScorer(tiny.llama())
    expected = score_sequences(alone, sequences, torch.device("cpu"))
    tolerance = 1e-4 if dtype is torch.float32 else 0.05
    torch.testing.assert_close(together.cpu(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "rmsprop"])
def test_a_broken_run_goes_on_with_the_same_numbers(make_config, tmp_path, monkeypatch, optimizer):
    settings = {"device": "cuda", "optimizer": optimizer, "checkpoint_every": 4}
    unbroken = make_config(**settings, output_dir=str(tmp_path / "unbroken"))
    run(unbroken)
    broken = make_config(**settings)

    def log_line(number, total, values):
        if number == 5:
            raise KeyboardInterrupt
        return ""

    with monkeypatch.context() as patch:
        patch.setattr("training.alignment.offline._log_line", log_line)
        with pytest.raises(KeyboardInterrupt):
            run(broken)
    run(broken)
    assert losses(broken) == pytest.approx(losses(unbroken), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("method", LEARNS)
def test_sampling_methods_learn(make_config, tmp_path, method):
    extra = {}
    if method == "ppo_ptx":
        rows = [{"prompt": "", "completion": f"Text number {number}."} for number in range(8)]
        extra["ptx_file"] = str(tiny.write_lines(tmp_path / "ptx.jsonl", rows))
    config = make_config(
        method=method, device="cuda", held_out_file=None, learning_rate=3e-3, warmup_steps=0,
        train_file=str(write_prompts(tmp_path / "prompts.jsonl", 16)), max_steps=20,
        epochs=1000.0, batch_size=64, gradient_accumulation=1, prompts_per_step=8,
        samples_per_prompt=4, max_new_tokens=8, max_prompt_length=40, checkpoint_every=1000,
        hyperparameters=LEARNS[method], **extra,
    )  # fmt: skip
    toys = sources(Reward("vowels", share_of("aeiou")))
    assert online.train(config, make_accelerator(resolve_device("cuda")), StopRequest(), toys)
    found = [line["metrics"] for line in read_metrics(config) if "reward" in line["metrics"]]
    rewards = [step["reward"] for step in found]
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5]) + 0.05
    assert max(step["sampler_difference"] for step in found) < 1e-4


def test_greedy_answers_are_those_of_the_cpu(model_folder):
    tokenizer = load_tokenizer(model_folder)
    asked = [Request(encode_prompt(text, tokenizer), [0], 12, temperature=0.0) for text in TEXTS]
    answers = []
    for name in ("cpu", "cuda"):
        model = load_model(model_folder, dtype=torch.float32, device=torch.device(name))
        groups = Engine(model, end_tokens(tokenizer), rows=2).run(asked)
        answers.append([list(group[0].tokens) for group in groups])
    assert answers[0] == answers[1]


def test_running_out_of_the_gpus_memory_says_what_to_change(make_config):
    config = replace(make_config(), batch_size=8)
    with pytest.raises(torch.OutOfMemoryError) as caught:
        torch.empty(2**50, dtype=torch.uint8, device="cuda")
    assert "lower batch_size from 8 to 4" in reason(caught.value, config)
