"""Losses against MiniMind's own figures."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trainer.batches import IGNORE, Batch
from trainer.losses import next_token_loss
from trainer.models import load_pth

FILES = {
    "v3-dense": ("full_sft_64.pth", 8),
    "v3-moe": ("full_sft_32_moe.pth", 4),
    "v2-dense": ("full_sft_32.pth", 4),
}


def reference_batch(folder: Path) -> Batch:
    tensors = load_file(folder / "reference.safetensors")
    ids = tensors["input_ids"].long()
    labels = tensors["labels"].long()
    width = ids.shape[1]
    shifted = torch.full_like(labels, IGNORE)
    shifted[:, :-1] = labels[:, 1:]
    at = (shifted.flatten() != IGNORE).nonzero()[:, 0]
    positions = torch.arange(width).expand_as(ids)
    bounds = torch.arange(0, ids.numel() + 1, width, dtype=torch.int32)
    return Batch(ids, positions, at, shifted.flatten()[at], bounds, width, ids.numel(), packed=False)


@pytest.mark.parametrize("name", FILES)
def test_training_loss_and_gradients_equal_minimind(minimind: Path, name: str) -> None:
    file, heads = FILES[name]
    expected = json.loads((minimind / name / "expected.json").read_text())
    model, batch = load_pth(minimind / name / file, heads).train(), reference_batch(minimind / name)
    result = next_token_loss(model, batch)
    loss, aux = result.total / len(batch.targets), result.aux
    assert float(loss) == pytest.approx(expected["train_mode_loss"], rel=1e-4)
    if aux is not None:
        assert float(aux) == pytest.approx(expected["train_mode_aux_loss"], rel=1e-4)
        loss = loss + aux
    loss.backward()
    norms = {n: float(p.grad.norm()) for n, p in model.named_parameters() if p.grad is not None}
    for key, value in expected["grad_norms_of_loss_plus_aux"].items():
        if key in norms:
            assert norms[key] == pytest.approx(value, rel=1e-3, abs=1e-6), key
    assert len(norms.keys() & expected["grad_norms_of_loss_plus_aux"].keys()) >= 13
