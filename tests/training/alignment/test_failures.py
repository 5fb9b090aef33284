import json

import pytest
import torch

from training.alignment.data import DataError
from training.alignment.failures import reason


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"
        ),
    ],
)
def test_running_out_of_memory_says_what_to_change(error):
    assert reason(error).startswith("The device ran out of memory: lower batch_size")


def test_advice_on_memory_fits_the_run(make_config):
    whole = reason(MemoryError(), make_config(batch_size=4, gradient_accumulation=2))
    assert "lower batch_size from 4 to 2 and raise gradient_accumulation from 2 to 4" in whole
    assert "train a LoRA adapter" in whole
    frugal = make_config(
        batch_size=1, gradient_checkpointing=True, dtype="bfloat16", adapter="lora", max_length=96
    )
    left = reason(MemoryError(), frugal)
    assert left.startswith("The device ran out of memory: lower max_length from 96")
    assert "batch_size" not in left


def test_advice_on_memory_of_a_run_that_samples_names_only_what_it_looks_at(make_config):
    advice = reason(MemoryError(), make_config(method="ppo", batch_size=4, max_new_tokens=16))
    assert "lower batch_size from 4 to 2, which trains the same steps" in advice
    assert "lower max_new_tokens from 16; or lower prompts_per_step from 8" in advice
    assert "gradient_accumulation" not in advice
    assert "max_length" not in advice


def test_our_own_errors_speak_for_themselves():
    assert reason(DataError("rows.jsonl, row 3: no prompt")) == "rows.jsonl, row 3: no prompt"


def test_a_missing_file_is_named():
    assert reason(FileNotFoundError(2, "No such file", "data.jsonl")) == (
        "A file is missing: data.jsonl."
    )


def test_several_rows_keep_their_lines():
    told = DataError("rows.jsonl, row 3: no  prompt\n\nrows.jsonl, row 5: no prompt")
    assert reason(told) == "rows.jsonl, row 3: no prompt\nrows.jsonl, row 5: no prompt"


def test_json_of_another_file_is_not_taken_for_the_configuration():
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    assert reason(caught.value).startswith("Failed unexpectedly (JSONDecodeError")


def test_what_nobody_foresaw_is_named_on_one_line():
    text = reason(KeyError("a\nb"))
    assert text.startswith("Failed unexpectedly (KeyError")
    assert "\n" not in text
