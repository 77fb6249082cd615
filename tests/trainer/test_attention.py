"""Packed rows give the losses and gradients of padded ones, and never see each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from trainer.attention import PACKED, pack
from trainer.batches import make_batch
from trainer.configs import parse_config
from trainer.errors import SettingsError
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
    loss = next_token_loss(model, batch).total
    loss.backward()
    return float(loss.detach()), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("values", [{}, {"architecture": "v2"}, {"use_moe": True}, {"num_key_value_heads": 4}])
def test_packed_equals_padded(rows: object, values: dict[str, object]) -> None:
    model = make_model(**values)
    padded, padded_grads = loss_and_gradients(model, rows, packed=False)
    packed, packed_grads = loss_and_gradients(model, rows, packed=True)
    assert packed == pytest.approx(padded, rel=1e-5)
    for name, gradient in padded_grads.items():
        torch.testing.assert_close(packed_grads[name], gradient, rtol=1e-3, atol=1e-4, msg=name)


OTHERS = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "qwen2": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2},
    "mistral": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
                "sliding_window": 8},
    "gemma3_text": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
                    "head_dim": 8, "sliding_window": 8},
    "gpt_neox": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
}  # fmt: skip


def other_model(name: str, **values: object) -> torch.nn.Module:
    torch.manual_seed(0)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = AutoConfig.for_model(name, vocab_size=64, **ids, **values)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


@pytest.mark.parametrize("name", OTHERS)
def test_other_models_pack_too_sliding_windows_included(rows: object, name: str) -> None:
    model = other_model(name, **OTHERS[name])
    padded, _ = loss_and_gradients(model, rows, packed=False)
    packed, _ = loss_and_gradients(model, rows, packed=True)
    assert packed == pytest.approx(padded, rel=1e-5)


def test_models_with_attention_of_their_own_are_refused(rows: object) -> None:
    with pytest.raises(SettingsError, match="--packing: This model cannot train on packed rows"):
        pack(other_model("bloom", hidden_size=32, n_layer=1, n_head=2))
    capped = other_model("gemma2", hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
                         head_dim=16, intermediate_size=32, attn_logit_softcapping=5.0)  # fmt: skip
    with pytest.raises(SettingsError, match="softcap"):
        loss_and_gradients(capped, rows, packed=True)


def test_a_document_does_not_see_its_neighbours(rows: object) -> None:
    model = make_model()
    model.set_attn_implementation(PACKED)
    alone = next_token_loss(model, make_batch(rows, np.array([3]), 0, True, 0)).total  # type: ignore[arg-type]
    others = next_token_loss(model, make_batch(rows, np.array([7, 9]), 0, True, 0)).total  # type: ignore[arg-type]
    together = next_token_loss(model, make_batch(rows, np.array([7, 3, 9]), 0, True, 0)).total  # type: ignore[arg-type]
    assert float(together) == pytest.approx(float(alone) + float(others), rel=1e-5)


def test_plain_causal_attention_would_not_pass(rows: object) -> None:
    """The test above must be able to fail: without the documents' bounds the losses differ."""
    model = make_model()
    model.set_attn_implementation(PACKED)
    batch = make_batch(rows, np.array([7, 3, 9]), 0, True, 0)  # type: ignore[arg-type]
    right = next_token_loss(model, batch).total
    one = replace(batch, bounds=torch.tensor([0, batch.tokens], dtype=torch.int32), longest=batch.tokens)
    wrong = next_token_loss(model, one).total
    assert abs(float(wrong) - float(right)) > 1e-3
