"""Files of other shapes and formats, trained on from end to end."""

import json
import shutil
from pathlib import Path

import pytest

from tests.training.alignment import tiny
from tests.training.alignment.conftest import losses
from tests.training.alignment.data.test_sources import save_arrow
from training.alignment.data import DataError
from training.alignment.train import run


def talks(count):
    """Pairs whose turns lie inside chosen and rejected."""
    return [
        {
            "chosen": [*tiny.user(f"{number:02d}?"), *tiny.assistant("yes")],
            "rejected": [*tiny.user(f"{number:02d}?"), *tiny.assistant("no")],
        }
        for number in range(count)
    ]


ONLINE = {
    "grpo": {
        "reward_sources": {"answer": {"kind": "verifier", "verifier": "contains_answer"}},
        "prompts_per_step": 2, "samples_per_prompt": 2, "max_new_tokens": 4,
    }
}  # fmt: skip


@pytest.fixture
def strict_model(tmp_path, model_folder):
    """A model whose chat template refuses what the system says, as Gemma's does."""
    folder = shutil.copytree(model_folder, tmp_path / "strict")
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    tiny.byte_tokenizer(template=refusing + tiny.CHATML).save_pretrained(folder)
    return folder


def report_of(config):
    return json.loads((Path(config.output_dir) / "data_report.json").read_text())["train"]


def test_dpo_on_what_datasets_saved(make_config, tmp_path):
    folder = save_arrow(tmp_path / "saved", talks(12))
    config = make_config(train_file=str(folder), max_steps=2)
    assert run(config) == 0
    report = report_of(config)
    assert report["source"]["shapes"] == {"pairs with the prompt inside": 12}
    assert (report["examples"], report["source"]["file"]) == (12, "saved")
    assert len(losses(config)) == 2


@pytest.mark.parametrize(("method", "examples"), [("sft", 12), ("kto", 24)])
def test_pairs_feed_other_methods_when_asked(make_config, tmp_path, method, examples):
    file = tiny.write_lines(tmp_path / "pairs.jsonl", talks(12))
    with pytest.raises(DataError, match=r"from pairs when that is asked for \(convert_data\)"):
        run(make_config(method=method, train_file=str(file), output_dir=str(tmp_path / "refused")))
    config = make_config(method=method, train_file=str(file), convert_data=True, max_steps=2)
    assert run(config) == 0
    assert report_of(config)["examples"] == examples
    assert report_of(config)["source"]["converted"] == {"pairs": examples}


def test_bad_rows_and_long_answers_are_left_out_when_asked(make_config, tmp_path):
    long = [*tiny.user("00?"), *tiny.assistant("y" * 90)]
    rows = [*talks(8), {"chosen": "x"}, {"chosen": long, "rejected": talks(1)[0]["rejected"]}]
    file = tiny.write_lines(tmp_path / "pairs.jsonl", rows)
    config = make_config(
        train_file=str(file), bad_rows="skip", long_completions="drop", max_steps=1
    )
    assert run(config) == 0
    report = report_of(config)
    assert (report["examples"], report["dropped_too_long"]) == (8, 1)
    assert report["source"]["bad_rows"] == 1
    assert report["source"]["problems"][0]["row"] == 9


@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_rows_that_the_template_refuses_are_left_out_when_asked(
    make_config, strict_model, tmp_path, method
):
    system = [{"role": "system", "content": "Be brief."}]
    rows: list[dict[str, object]] = [{**row, "answer": "yes"} for row in talks(6)]
    for side in ("chosen", "rejected"):
        rows[2][side] = [*system, *talks(3)[2][side]]
    file = tiny.write_lines(tmp_path / "pairs.jsonl", rows)
    given = {
        "method": method, "base_model": str(strict_model), "train_file": str(file),
        "held_out_file": None, "max_steps": 1, **ONLINE.get(method, {}),
    }  # fmt: skip
    with pytest.raises(DataError, match=r"pairs\.jsonl: row 'pairs-3': the chat template refuses"):
        run(make_config(**given, output_dir=str(tmp_path / "refused")))
    config = make_config(**given, bad_rows="skip")
    assert run(config) == 0
    report = report_of(config)
    assert (report["examples"], report["refused"]) == (5, 1)
    assert report["refusals"][0].startswith("row 'pairs-3': the chat template refuses")


def test_plain_texts_are_trained_as_chats_when_asked(make_config, tmp_path):
    rows = [{"prompt": f"{number}?", "chosen": "yes", "rejected": "no"} for number in range(8)]
    file = tiny.write_lines(tmp_path / "pairs.jsonl", rows)
    counts = []
    for chat_texts in (False, True):
        folder = str(tmp_path / f"run-{chat_texts}")
        config = make_config(
            train_file=str(file), chat_texts=chat_texts, output_dir=folder, max_steps=1
        )
        assert run(config) == 0
        counts.append(report_of(config)["prompt_lengths"]["p50"])
    wrapping = "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"
    assert counts[1] - counts[0] == len(tiny.byte_tokenizer()(wrapping)["input_ids"])
