import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from transformers import GraniteConfig, GraniteForCausalLM

from tests.training.alignment import tiny
from training.alignment import reference
from training.alignment.config import TrainingConfig
from training.alignment.data import read_rows
from training.alignment.log_probs import CompletionScorer, UnsupportedModelError
from training.alignment.policies import load_scorer
from training.alignment.reference import cache_key, reference_log_probs
from training.alignment.scoring import by_role, score_sequences
from training.alignment.tokenization import DataReport, Limits, TokenSequence, tokenize_rows

ROLES = ("chosen", "rejected")


@pytest.fixture
def examples(tmp_path):
    rows = read_rows(tiny.write_pairs(tmp_path / "pairs.jsonl", 5), "pairs")
    return tokenize_rows(rows, tiny.byte_tokenizer(), Limits(64, 48), DataReport())


@pytest.fixture
def seen():
    """How many tokens the reference model has looked at, call by call."""
    return []


@pytest.fixture
def cached(tmp_path, seen):
    loads: list[int] = []

    def load():
        scorer = CompletionScorer(tiny.llama())
        scorer.model.get_input_embeddings().register_forward_pre_hook(
            lambda module, inputs: seen.append(inputs[0].numel())
        )
        loads.append(1)
        return scorer

    def compute(examples, key="model"):
        values = reference_log_probs(
            examples,
            ROLES,
            model_key=key,
            load_scorer=load,
            accelerator=Accelerator(cpu=True),
            batch_size=4,
            cache=tmp_path / "reference",
            progress=lambda done, total: None,
        )
        return values, len(loads)

    return compute


def test_cached_values_are_the_live_ones_and_the_model_is_loaded_once(cached, examples):
    first, loads = cached(examples)
    again, loads_again = cached(examples)
    live = score_sequences(
        CompletionScorer(tiny.llama()), by_role(examples, ROLES), torch.device("cpu")
    )
    assert (loads, loads_again) == (1, 1)
    torch.testing.assert_close(torch.cat([first[role] for role in ROLES]), live.detach())
    assert all(torch.equal(first[role], again[role]) for role in ROLES)


def test_another_model_or_another_token_is_computed_anew(cached, examples):
    cached(examples)
    assert cached(examples, key="other")[1] == 2
    sequence = examples[0].sequences["chosen"]
    longer = replace(sequence, completion=sequence.completion[:-1])
    changed = replace(examples[0], sequences={**examples[0].sequences, "chosen": longer})
    assert cached([changed, *examples[1:]], key="other")[1] == 3


def test_the_boundary_is_part_of_the_key(examples):
    sequence = examples[0].sequences["chosen"]
    moved = TokenSequence(
        sequence.prompt[:-1], np.concatenate([sequence.prompt[-1:], sequence.completion])
    )
    other = replace(examples[0], sequences={**examples[0].sequences, "chosen": moved})
    assert cache_key([other], ROLES, "m") != cache_key(examples[:1], ROLES, "m")


def test_only_what_no_run_has_scored_is_computed(cached, examples, seen):
    first, _ = cached(examples[:3])
    before = len(seen)
    whole, _ = cached(examples)
    left = [one.sequences for one in examples[3:]]
    prompts = sum(len(one["chosen"].prompt) for one in left)
    answers = sum(len(one[role].completion) for one in left for role in ROLES)
    # The probe that the loading scorer makes comes before the hook.
    assert sum(seen[before:]) == prompts + answers
    live = score_sequences(
        CompletionScorer(tiny.llama()), by_role(examples, ROLES), torch.device("cpu")
    )
    torch.testing.assert_close(torch.cat([whole[role] for role in ROLES]), live.detach())
    assert torch.equal(whole["chosen"][:3], first["chosen"])


def test_order_and_roles_do_not_matter(cached, examples):
    first, _ = cached(examples)
    swapped = [
        replace(one, sequences={"chosen": one.sequences["rejected"], **rest})
        for one in reversed(examples)
        for rest in [{"rejected": one.sequences["chosen"]}]
    ]
    again, loads = cached(swapped)
    assert loads == 1
    assert torch.equal(again["chosen"], first["rejected"].flip(0))


def test_a_file_that_is_not_whole_is_made_anew(cached, examples, tmp_path):
    first, _ = cached(examples)
    (file,) = tmp_path.glob("reference/*/*.safetensors")
    file.write_bytes(file.read_bytes()[:20])
    again, loads = cached(examples)
    assert loads == 2
    assert torch.equal(again["chosen"], first["chosen"])


def test_blocks_are_kept_one_by_one(cached, examples, tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "BLOCK", 4)
    first, _ = cached(examples)
    assert len(list(tmp_path.glob("reference/*/*.safetensors"))) == 3
    again, loads = cached(examples)
    assert loads == 1
    assert all(torch.equal(first[role], again[role]) for role in ROLES)


def write_once(folder: str, number: int) -> None:
    reference._write(Path(folder), [bytes([number]) * 32], torch.tensor([float(number)]))


def test_many_writers_at_once_lose_nothing(tmp_path):
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=write_once, args=(str(tmp_path / "m"), n)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    found = reference._read(tmp_path / "m")
    assert found == {bytes([number]) * 32: float(number) for number in range(8)}


def test_a_reference_that_scales_its_logits_is_refused(tmp_path):
    torch.manual_seed(0)
    sizes = tiny.llama().config.to_dict()
    names = (
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "initializer_range",
    )  # fmt: skip
    kept = {name: sizes[name] for name in names}
    GraniteForCausalLM(GraniteConfig(**kept, logits_scaling=8.0)).save_pretrained(tmp_path / "g")
    config = TrainingConfig("dpo", "base", "train", "output")
    with pytest.raises(UnsupportedModelError, match="changes its logits"):
        load_scorer(config, str(tmp_path / "g"), torch.device("cpu"))
