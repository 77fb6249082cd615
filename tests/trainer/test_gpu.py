"""The CUDA path: the same losses as on the CPU, within the precision of its types."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainer.attention import PACKED
from trainer.batches import make_batch
from trainer.devices import autocast
from trainer.failures import explain
from trainer.losses import next_token_loss
from trainer.models import model_config, new_model
from trainer.names import ErrorClass, Outcome
from trainer.nvml import GpuMeter
from trainer.reward_model import RewardModel
from trainer.rollouts import RolloutEngine
from trainer.sampling import Sampling, draws

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
CUDA = torch.device("cuda", 0)
two_gpus = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two NVIDIA GPUs")


def loss_and_gradient(model: Any, rows: Any, packed: bool, dtype: str) -> tuple[float, torch.Tensor]:
    model.set_attn_implementation(PACKED if packed else "sdpa")
    model.zero_grad()
    batch = make_batch(rows, np.arange(16), 0, packed, 0).to(CUDA)
    with autocast(CUDA, dtype):
        loss = next_token_loss(model, batch).total
    (loss / len(batch.targets)).backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return float(loss.detach()) / len(batch.targets), gradient


@pytest.fixture
def model(make_loop: Callable[..., Any]) -> Any:
    # Head size 64, as FlashAttention wants a multiple of eight
    loop = make_loop(
        hidden_size=256, num_attention_heads=4, num_key_value_heads=2, intermediate_size=512, device="auto"
    )
    return loop.model.to(CUDA)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_takes_the_kernel_for_documents(
    model: Any, rows: Any, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any) -> None:
        raise AssertionError("one call a document instead of one for all")

    monkeypatch.setattr("trainer.attention._each_document", slow)
    loss_and_gradient(model, rows, packed=True, dtype=dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2), ("float16", 5e-3)])
def test_packed_equals_padded_on_cuda(model: Any, rows: Any, dtype: str, tolerance: float) -> None:
    reference, gradient = loss_and_gradient(model, rows, packed=False, dtype="float32")
    packed, packed_gradient = loss_and_gradient(model, rows, packed=True, dtype=dtype)
    assert packed == pytest.approx(reference, rel=tolerance)
    cosine = torch.nn.functional.cosine_similarity(gradient, packed_gradient, dim=0)
    assert float(cosine) > 1 - tolerance


@pytest.mark.parametrize(
    "values", [{}, {"dtype": "float16"}, {"dtype": "float32"}, {"compile": True}, {"use_moe": True}]
)
def test_training_on_cuda_learns_what_the_cpu_learns(
    make_loop: Callable[..., Any], series: Any, values: dict[str, Any]
) -> None:
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "epochs": 3, "learning_rate": 3e-3}
    moe = {k: v for k, v in values.items() if k == "use_moe"}
    make_loop("cpu", **sizes, **moe).run()
    assert make_loop("cuda", **sizes, device="cuda:0", **values).run() is Outcome.FINISHED
    ours, theirs = list(series("cuda").values()), list(series("cpu").values())
    assert ours == pytest.approx(theirs, rel=0.03)
    assert ours[-1] < ours[0] - 0.1


@pytest.mark.parametrize("kind", ["distil", "reason"])
@pytest.mark.parametrize("values", [{}, {"dtype": "float32"}, {"compile": True}, {"packing": False}])
def test_other_losses_on_cuda_are_those_of_the_cpu(
    request: pytest.FixtureRequest, series: Any, kind: str, values: dict[str, Any]
) -> None:
    make = request.getfixturevalue(kind)
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "learning_rate": 3e-3}
    make("cpu", **sizes).run()
    assert make("cuda", **sizes, device="cuda:0", **values).run() is Outcome.FINISHED
    for key in ("train/loss", "train/ce_loss"):
        assert list(series("cuda", key).values()) == pytest.approx(list(series("cpu", key).values()), rel=0.03)


@pytest.mark.parametrize("values", [{}, {"dtype": "float32"}, {"compile": True}, {"packing": False}])
def test_preferences_on_cuda_are_those_of_the_cpu(
    prefer: Callable[..., Any], make_pairs: Callable[..., Any], series: Any, values: dict[str, Any]
) -> None:
    pairs, held_out = make_pairs(40), make_pairs(20, seed=1)
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "learning_rate": 3e-3, "epochs": 2}
    prefer("cpu", data=pairs, held_out=held_out, **sizes).run()
    loop = prefer("cuda", data=pairs, held_out=held_out, **sizes, device="cuda:0", **values)
    assert loop.run() is Outcome.FINISHED
    for key in ("train/loss", "dpo/chosen_logp", "eval/loss"):
        assert list(series("cuda", key).values()) == pytest.approx(list(series("cpu", key).values()), rel=0.05)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.03), ("float16", 0.01)])
def test_a_reward_model_on_cuda_thinks_as_on_the_cpu(
    tmp_path: Path, make_judge: Callable[..., None], dtype: str, tolerance: float
) -> None:
    make_judge(tmp_path, scale=20)
    answers = ["72", "It is 72, I believe.", "no"]
    asked = [[{"role": "user", "content": "48 + 24?"}, {"role": "assistant", "content": text}] for text in answers]
    expected, _ = RewardModel(tmp_path, torch.device("cpu"), "float32").score(asked)
    found, causes = RewardModel(tmp_path, CUDA, dtype).score(asked)
    assert np.abs(expected).max() < 3 and not causes
    np.testing.assert_allclose(found, expected, atol=tolerance)


def test_a_run_stopped_on_cuda_goes_on(
    make_loop: Callable[..., Any], series: Any, run_until: Callable[[Any, int], None]
) -> None:
    values = {"device": "cuda:0", "dtype": "bfloat16", "hidden_size": 64}
    make_loop("whole", **values).run()
    run_until(make_loop("parts", **values), 9)
    assert make_loop("parts", **values).run() is Outcome.FINISHED
    assert list(series("parts")) == list(series("whole"))
    assert list(series("parts").values()) == pytest.approx(list(series("whole").values()), rel=1e-2)


def test_too_little_memory_is_told_with_its_peak(make_config: Callable[..., Any]) -> None:
    with pytest.raises(torch.OutOfMemoryError) as caught:
        torch.empty(10**13, device=CUDA)
    message, hint, error_class = explain(caught.value, make_config(batch_size=32))
    assert re.match(r"Out of memory: the training used up to [\d.]+ of the GPU's [\d.]+ GB\.", message)
    assert hint.startswith("Lower batch_size from 32 to 16")
    assert error_class is ErrorClass.OUT_OF_MEMORY


@two_gpus
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_two_gpus_train_as_one_and_go_on_where_they_stopped(
    together: Callable[..., None],
    make_loop: Callable[..., Any],
    make_rows: Callable[..., Any],
    series_of: Any,
    tmp_path: Path,
    parallel: str,
    dtype: str,
) -> None:
    values = {"dtype": dtype, "hidden_size": 64, "epochs": 3, "accumulation_steps": 2}
    make_loop("one", make_rows(37), make_rows(10, seed=1), device="cuda:0", **values).run()
    several = {"device": "cuda", "parallel": parallel, "rows": 37} | values
    together(tmp_path, [("two", 0, several), ("parts", 6, several), ("parts", 0, several)])
    for key in ("train/loss", "train/grad_norm", "eval/loss"):
        one = series_of(tmp_path / "one", key)
        for name in ("two", "parts"):
            found = series_of(tmp_path / name, key)
            assert list(found) == list(one)
            close = 1e-3 if dtype == "float32" else 3e-2
            assert list(found.values()) == pytest.approx(list(one.values()), rel=close)


# Rollouts -------------------------------------------------------------------------------------------------------------

ROLLOUT_SIZES = {"hidden_size": 96, "num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 160}
ROLLOUT_KINDS = {
    "v3": {},
    "v2": {"architecture": "v2"},
    "moe": {"use_moe": True, "num_experts_per_tok": 2},
    "wide": {"hidden_size": 768, "num_key_value_heads": 4, "intermediate_size": 2432},
}


@pytest.fixture(params=ROLLOUT_KINDS)
def writer(make_config: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    config = make_config(**ROLLOUT_SIZES | ROLLOUT_KINDS[request.param])
    model = new_model(model_config(config, 1000))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model


def rollout_prompts(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(3, 1000, size=1 + (11 * index) % 40) for index in range(count)]


@pytest.mark.parametrize("sampling", [Sampling(21), Sampling(21, 0), Sampling(21, 0.8, 50, 0.9)], ids=str)
def test_captured_rollouts_are_those_of_the_cpu(writer: Any, sampling: Sampling) -> None:
    count = 40
    prompts, ends = rollout_prompts(count), list(range(40))
    noise = draws(0, 0, 0, count, 21)
    on_cpu = RolloutEngine(writer, ends, 0, torch.device("cpu"), "float32").generate(prompts, sampling, noise)
    engine = RolloutEngine(writer.to(CUDA), ends, 0, CUDA, "float32")
    captured = [engine.generate(prompts, sampling, noise) for _ in range(2)][-1]  # the second replays from the start
    assert engine._graphs is not None
    engine._graphs = None
    plain = engine.generate(prompts, sampling, noise)
    for other in (captured, plain):
        # A number next to the border of two tokens may fall on either side of it.
        same = [a.ids.tolist() == b.ids.tolist() and a.ended == b.ended for a, b in zip(on_cpu, other, strict=True)]
        assert sum(same) >= count - 1
        for one, two in zip(on_cpu, other, strict=True):
            if one.ids.tolist() == two.ids.tolist():
                np.testing.assert_allclose(one.logps, two.logps, atol=1e-3)


def test_weights_that_are_no_numbers_give_tokens_of_the_vocabulary(writer: Any) -> None:
    with torch.no_grad():
        for parameter in writer.parameters():
            parameter.fill_(torch.nan)
    prompts, noise = rollout_prompts(3), draws(0, 0, 0, 3, 9)
    engine = RolloutEngine(writer.to(CUDA), [], 0, CUDA, "float32")
    for sampling in (Sampling(9, 0), Sampling(9), Sampling(9, 0.8, 50, 0.9)):
        assert max(completion.ids.max() for completion in engine.generate(prompts, sampling, noise)) < 1000


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_captured_rollouts_are_as_exact_as_training_in_half_precision(writer: Any, dtype: str) -> None:
    prompts, noise = rollout_prompts(20), draws(0, 0, 0, 20, 30)
    writer.to(CUDA).eval()
    engine = RolloutEngine(writer, [], 0, CUDA, dtype)
    engine.generate(prompts, Sampling(30), noise)
    with torch.no_grad():
        for parameter in writer.parameters():
            parameter.mul_(1.1)
    engine.refresh()
    ours, theirs = [], []
    for prompt, completion in zip(prompts, engine.generate(prompts, Sampling(30), noise), strict=True):
        whole = torch.from_numpy(np.concatenate((prompt, completion.ids)))[None].to(CUDA)
        places = range(len(prompt) - 1, whole.shape[1] - 1)
        with torch.no_grad():
            exact = writer(whole).logits[0].log_softmax(-1)[places, completion.ids].cpu().numpy()
            with autocast(CUDA, dtype):
                half = writer(whole).logits[0].float().log_softmax(-1)[places, completion.ids].cpu().numpy()
        ours.append(np.abs(completion.logps - exact))
        theirs.append(np.abs(half - exact))
    assert np.mean(ours) < 2 * np.mean(theirs) + 1e-4
    assert np.median(ours) < 2 * np.median(theirs) + 1e-4


@pytest.mark.parametrize("kind", ["grpo", "spo", "ppo"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rewards_are_learned_from_on_cuda_as_on_the_cpu(
    make_rollouts: Any, series: Any, tmp_path: Path, kind: str, dtype: str
) -> None:
    make_rollouts(kind, "cpu", held_out=2).run()
    assert make_rollouts(kind, "cuda", held_out=2, device="cuda:0", dtype=dtype).run() is Outcome.FINISHED
    ours, theirs = series("cuda", "train/reward"), series("cpu", "train/reward")
    assert list(ours) == list(theirs)
    if dtype == "float32":  # the first answers are those of the same weights
        assert ours[1] == pytest.approx(theirs[1], abs=0.2)
    assert all(np.isfinite(list(series("cuda", key).values())).all() for key in ("train/loss", "train/grad_norm"))
    assert max(series("cuda", "rollout/logp_gap").values()) < (1e-3 if dtype == "float32" else 0.1)
    assert (tmp_path / "cuda" / "samples.jsonl").is_file()


def test_a_gpu_that_computes_is_busy() -> None:
    meter = GpuMeter.of(str(torch.cuda.get_device_properties(CUDA).uuid))
    assert meter
    product = torch.randn(4096, 4096, device=CUDA)
    for _ in range(1000):
        product = (product @ product).tanh()
    torch.cuda.synchronize()
    assert (meter.percent() or 0) > 20
