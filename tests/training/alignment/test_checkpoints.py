import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from training.alignment.checkpoints import latest_checkpoint, load_checkpoint, save_checkpoint


def trained(steps: int = 3) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    module[0].bias.requires_grad_(False)
    chosen = [item for item in module.parameters() if item.requires_grad]
    optimizer = torch.optim.AdamW(chosen, lr=0.1)
    for _ in range(steps):
        module(torch.ones(2, 3)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return module, optimizer


def save(root, step, module=None, optimizer=None):
    if module is None:
        module, optimizer = trained()
    return save_checkpoint(root, step=step, module=module, optimizer=optimizer, state={"x": 1})


def test_weights_and_optimiser_come_back(tmp_path):
    module, optimizer = trained(3)
    save(tmp_path, 3, module, optimizer)
    other, other_optimizer = trained(1)
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.state["x"]) == (3, 1)
    load_checkpoint(found, other, other_optimizer)
    for item in ((module, optimizer), (other, other_optimizer)):
        item[0](torch.ones(2, 3)).sum().backward()
        item[1].step()
    for one, two in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_only_trained_weights_are_stored(tmp_path):
    folder = save(tmp_path, 1)
    assert set(load_file(folder / "model.safetensors")) == {"0.weight", "1.weight", "1.bias"}


def test_the_last_two_are_kept(tmp_path):
    for step in (5, 10, 15):
        save(tmp_path, step)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [
        "step-00000010",
        "step-00000015",
    ]


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, name, damage):
    save(tmp_path, 5)
    file = save(tmp_path, 10) / name
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        cut = content[: len(content) // 2]
        file.write_bytes(cut if damage == "cut" else content[:-2] + b"~" + content[-1:])
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5


def test_a_checkpoint_without_a_manifest_never_counts(tmp_path):
    (save(tmp_path, 5) / "manifest.json").unlink()
    (tmp_path / ".building-9").mkdir()
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "nowhere") is None


def test_a_broken_manifest_never_counts(tmp_path):
    (save(tmp_path, 5) / "manifest.json").write_text(json.dumps({})[:1])
    assert latest_checkpoint(tmp_path) is None


def test_other_weights_are_refused(tmp_path):
    save(tmp_path, 5)
    module = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    found = latest_checkpoint(tmp_path)
    assert found is not None
    with pytest.raises(ValueError, match="other weights"):
        load_checkpoint(found, module, optimizer)
