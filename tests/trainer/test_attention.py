"""Packed rows give the losses and gradients of padded ones, and never see each other."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from trainer.attention import PACKED
from trainer.batches import make_batch
from trainer.configs import parse_config
from trainer.losses import next_token_loss
from trainer.models import model_config

SIZES = {
    "data_path": "x",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def make_model(**values: object) -> torch.nn.Module:
    torch.manual_seed(0)
    config = model_config(parse_config("pretrain", {**SIZES, **values}), 64)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def loss_and_gradients(model: torch.nn.Module, rows: object, packed: bool) -> tuple[float, dict[str, torch.Tensor]]:
    model.set_attn_implementation(PACKED if packed else "sdpa")
    model.zero_grad()
    batch = make_batch(rows, np.arange(8), 0, packed, 0)  # type: ignore[arg-type]
    loss, _ = next_token_loss(model, batch)
    loss.backward()
    return float(loss), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("values", [{}, {"architecture": "v2"}, {"use_moe": True}, {"num_key_value_heads": 4}])
def test_packed_equals_padded(rows: object, values: dict[str, object]) -> None:
    model = make_model(**values)
    padded, padded_grads = loss_and_gradients(model, rows, packed=False)
    packed, packed_grads = loss_and_gradients(model, rows, packed=True)
    assert packed == pytest.approx(padded, rel=1e-5)
    for name, gradient in padded_grads.items():
        torch.testing.assert_close(packed_grads[name], gradient, rtol=1e-3, atol=1e-4, msg=name)


def test_a_document_does_not_see_its_neighbours(rows: object) -> None:
    model = make_model()
    model.set_attn_implementation(PACKED)
    alone, _ = next_token_loss(model, make_batch(rows, np.array([3]), 0, True, 0))  # type: ignore[arg-type]
    others, _ = next_token_loss(model, make_batch(rows, np.array([7, 9]), 0, True, 0))  # type: ignore[arg-type]
    together, _ = next_token_loss(model, make_batch(rows, np.array([7, 3, 9]), 0, True, 0))  # type: ignore[arg-type]
    assert float(together) == pytest.approx(float(alone) + float(others), rel=1e-5)


def test_plain_causal_attention_would_not_pass(rows: object) -> None:
    """The test above must be able to fail: without the documents' bounds the losses differ."""
    model = make_model()
    model.set_attn_implementation(PACKED)
    batch = make_batch(rows, np.array([7, 3, 9]), 0, True, 0)  # type: ignore[arg-type]
    right, _ = next_token_loss(model, batch)
    batch.lengths[:] = [batch.input_ids.shape[1]]
    wrong, _ = next_token_loss(model, batch)
    assert abs(float(wrong) - float(right)) > 1e-3
