from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from tests.training.alignment import tiny
from training.alignment.data import read_rows
from training.alignment.log_probs import CompletionScorer
from training.alignment.reference import cache_key, reference_log_probs
from training.alignment.scoring import by_role, score_sequences
from training.alignment.tokenization import DataReport, Limits, TokenSequence, tokenize_rows

ROLES = ("chosen", "rejected")


@pytest.fixture
def examples(tmp_path):
    rows = read_rows(tiny.write_pairs(tmp_path / "pairs.jsonl", 5), "pairs")
    return tokenize_rows(rows, tiny.byte_tokenizer(), Limits(64, 48), DataReport())


@pytest.fixture
def cached(tmp_path):
    loads = []

    def load():
        loads.append(1)
        return CompletionScorer(tiny.llama())

    def compute(examples, key="model"):
        values = reference_log_probs(
            examples,
            ROLES,
            model_key=key,
            load_scorer=load,
            accelerator=Accelerator(cpu=True),
            batch_size=3,
            cache=tmp_path / "reference.safetensors",
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
