"""One grouped product for all experts gives what expert by expert gives."""

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from trainer.configs import parse_config
from trainer.experts import GROUPED, use_grouped_experts
from trainer.models import model_config


def make_model(per_token: int) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 64}
    values = sizes | {"data_path": "x", "use_moe": True, "num_experts_per_tok": per_token}
    model = AutoModelForCausalLM.from_config(model_config(parse_config("pretrain", values), 64), dtype=torch.float32)
    model.config.initializer_range = 0.5
    model.apply(model._init_weights)
    return model


def outputs(model: PreTrainedModel, way: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What the experts of a layer give for some tokens, and the gradients of all their weights."""
    model.set_experts_implementation(way)
    model.zero_grad()
    experts = model.model.layers[0].mlp.experts  # type: ignore[union-attr]
    torch.manual_seed(1)
    states = torch.randn(50, 32, requires_grad=True)
    chosen = torch.rand(50, 4).topk(model.config.num_experts_per_tok).indices
    weights = torch.rand(chosen.shape)
    out = experts(states, chosen, weights)
    out.square().sum().backward()
    gradients = [states.grad, experts.gate_up_proj.grad, experts.down_proj.grad]
    return out.detach(), torch.cat([g.flatten() for g in gradients if g is not None])


@pytest.mark.parametrize("per_token", [1, 2])
def test_the_grouped_product_equals_expert_by_expert(per_token: int) -> None:
    model = make_model(per_token)
    (wanted, wanted_gradient), (found, gradient) = outputs(model, "eager"), outputs(model, GROUPED)
    assert float(wanted.std()) > 0.1
    torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05 * float(wanted.std()))
    assert float(torch.nn.functional.cosine_similarity(gradient, wanted_gradient, dim=0)) > 0.999


def test_the_cpu_keeps_full_precision() -> None:
    model = make_model(1)
    use_grouped_experts(model, torch.device("cpu"), "bfloat16")
    assert model.get_experts_implementation()[""] != GROUPED
