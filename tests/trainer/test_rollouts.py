"""Rollouts: what a model writes depends on prompt, noise and weights alone, and its log-probabilities are right."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GPT2Config, GPTNeoXConfig, LlamaConfig, Qwen3Config, Qwen3MoeConfig

from trainer.attention import pack
from trainer.compiling import missing_for_kernels
from trainer.decoder import Decoder
from trainer.decoder_weights import can_decode
from trainer.errors import SettingsError
from trainer.models import load_pth
from trainer.rollouts import RolloutEngine
from trainer.sampling import Sampling, choose, draws

CPU = torch.device("cpu")
SIZES: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
EXPERTS: dict[str, Any] = {
    "head_dim": 8,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "norm_topk_prob": True,
}
CONFIGS: dict[str, Any] = {
    "llama": LlamaConfig(**SIZES),
    "qwen3": Qwen3Config(**SIZES | {"head_dim": 12, "tie_word_embeddings": True}),
    "qwen3-moe": Qwen3MoeConfig(**SIZES | EXPERTS),
    "gpt2": GPT2Config(
        vocab_size=100, n_embd=32, n_layer=2, n_head=4, n_positions=64, resid_pdrop=0.5, bos_token_id=1, eos_token_id=2
    ),
    "neox": GPTNeoXConfig(**SIZES),
}
OWN = ("llama", "qwen3", "qwen3-moe")


def make_model(name: str) -> Any:
    """A model whose next tokens differ in likelihood, in train mode."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(CONFIGS[name], dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return model.train()


@pytest.fixture(scope="module", params=CONFIGS)
def model(request: pytest.FixtureRequest) -> Any:
    return make_model(request.param)


def make_engine(model: Any, *ends: int) -> RolloutEngine:
    return RolloutEngine(model, ends, 0, CPU, "bfloat16")


def make_prompts(count: int = 5) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(3, 100, size=length) for length in (7, 3, 12, 1, 7)[:count]]


def noise_for(prompts: list[np.ndarray], length: int) -> np.ndarray:
    return draws(1, 2, 0, len(prompts), length)


def scored(model: Any, prompt: np.ndarray, ids: np.ndarray, temperature: float = 1.0) -> torch.Tensor:
    """Log-probabilities [tokens, vocabulary] of all that could have followed, by the model's own forward pass."""
    model.eval()
    with torch.no_grad():
        logits = model(torch.from_numpy(np.concatenate((prompt, ids)))[None]).logits[0, len(prompt) - 1 : -1]
    model.train()
    return (logits / temperature).log_softmax(-1)


# The forward pass -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "heads"), [("v3-dense", 8), ("v3-moe", 4), ("v2-dense", 4)])
def test_the_decoder_gives_minimind_logits_token_by_token(minimind: Path, name: str, heads: int) -> None:
    model = load_pth(next((minimind / name).glob("full_sft*.pth")), heads)
    reference = load_file(minimind / name / "reference.safetensors")
    ids, sample = reference["input_ids"], reference["vocab_sample"]
    decoder = Decoder(model, CPU, torch.float32)
    decoder.begin([row[:16].numpy() for row in ids], 8)
    logits = torch.stack([decoder.step(ids[:, place])[:, sample] for place in range(16, 24)], dim=1)
    torch.testing.assert_close(logits, reference["cached_logits_sample_16_24"], atol=1e-4, rtol=0)
    left, mask = reference["leftpad_input_ids"], reference["leftpad_attention_mask"].bool()
    last = decoder.begin([row[seen].numpy() for row, seen in zip(left, mask, strict=True)], 1)[:, sample]
    torch.testing.assert_close(last, reference["leftpad_logits_sample_valid"][:, -1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("yarn", [False, True])
@pytest.mark.parametrize("name", OWN)
def test_the_decoder_computes_what_the_model_does(name: str, yarn: bool) -> None:
    config = type(CONFIGS[name])(**CONFIGS[name].to_dict())
    if yarn:
        scaled = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "attention_factor": 1.2}
        config.rope_parameters = {**config.rope_parameters, **scaled}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    ids = torch.randint(100, (3, 20))
    with torch.no_grad():
        expected = model(ids).logits
    decoder = Decoder(model, CPU, torch.float32)
    logits = [decoder.begin([row[:5].numpy() for row in ids], 15)]
    logits += [decoder.step(ids[:, place]).clone() for place in range(5, 20)]
    torch.testing.assert_close(torch.stack(logits, dim=1), expected[:, 4:], atol=1e-4, rtol=0)


def test_only_plain_models_are_computed_by_the_decoder() -> None:
    assert [name for name in CONFIGS if can_decode(make_model(name))] == list(OWN)
    changes = [{"attention_bias": True}, {"hidden_act": "gelu"}, {"rope_parameters": {"rope_type": "dynamic"}}]
    windows = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}
    for change in [*changes, windows]:
        rope = {"rope_theta": 1e4, "factor": 2.0} | change.get("rope_parameters", {"rope_type": "default"})
        config = Qwen3Config(**SIZES | change | {"rope_parameters": rope})
        assert not can_decode(AutoModelForCausalLM.from_config(config)), change


# Completions ----------------------------------------------------------------------------------------------------------


def test_greedy_equals_transformers(model: Any) -> None:
    prompts = make_prompts()
    completions = make_engine(model).generate(prompts, Sampling(10, temperature=0), noise_for(prompts, 10))
    for prompt, completion in zip(prompts, completions, strict=True):
        expected = model.eval().generate(
            torch.from_numpy(prompt)[None], do_sample=False, max_new_tokens=10, eos_token_id=None, pad_token_id=0
        )
        assert completion.ids.tolist() == expected[0, len(prompt) :].tolist()
        found = scored(model, prompt, completion.ids)[range(10), completion.ids]
        np.testing.assert_allclose(completion.logps, found, atol=1e-4)


def test_log_probabilities_are_those_of_a_scoring_pass(model: Any) -> None:
    prompts = make_prompts()
    completions = make_engine(model).generate(prompts, Sampling(12, temperature=0.7), noise_for(prompts, 12))
    for prompt, completion in zip(prompts, completions, strict=True):
        assert (completion.ids.dtype, completion.logps.dtype, completion.ended) == (np.int64, np.float32, False)
        expected = scored(model, prompt, completion.ids, 0.7)[range(12), completion.ids]
        np.testing.assert_allclose(completion.logps, expected, atol=1e-4)


def test_a_completion_does_not_depend_on_what_is_beside_it(model: Any) -> None:
    prompts, sampling = make_prompts(), Sampling(12, top_k=40, top_p=0.95)
    noise, engine = noise_for(prompts, 12), make_engine(model, *range(3, 30))
    together = engine.generate(prompts, sampling, noise)
    assert len({len(completion.ids) for completion in together}) > 1, "none left before another"
    turned = engine.generate(prompts[::-1], sampling, noise[::-1].copy())[::-1]
    alone = [engine.generate([p], sampling, noise[i : i + 1])[0] for i, p in enumerate(prompts)]
    for others in (turned, alone):
        for one, other in zip(together, others, strict=True):
            assert one.ids.tolist() == other.ids.tolist()
            assert one.ended == other.ended
            np.testing.assert_allclose(one.logps, other.logps, atol=1e-5)


def test_the_noise_decides() -> None:
    prompts, engine = [make_prompts()[0]] * 4, make_engine(make_model("qwen3"))
    noise = noise_for(prompts, 8)
    noise[2] = noise[0]
    first, other, same, _ = engine.generate(prompts, Sampling(8), noise)
    assert first.ids.tolist() == same.ids.tolist() != other.ids.tolist()
    noise[0, 5:] = 1 - noise[0, 5:]
    changed = engine.generate(prompts, Sampling(8), noise)[0]
    assert changed.ids[:5].tolist() == first.ids[:5].tolist()
    assert changed.ids[5:].tolist() != first.ids[5:].tolist()


def test_noise_belongs_to_a_sequence() -> None:
    whole = draws(1, 7, 0, 6, 5)
    assert np.array_equal(np.concatenate((draws(1, 7, 0, 2, 5), draws(1, 7, 2, 4, 5))), whole)
    assert np.array_equal(draws(1, 7, 0, 6, 3), whole[:, :3])
    assert whole.dtype == np.float64
    assert len(np.unique([whole, draws(1, 8, 0, 6, 5), draws(2, 7, 0, 6, 5)])) == 90
    assert draws(1, 7, 0, 0, 5).shape == (0, 5)


def test_an_end_token_ends_a_completion(model: Any) -> None:
    prompts = make_prompts()
    noise, ends = noise_for(prompts, 30), set(range(20))
    free = make_engine(model).generate(prompts, Sampling(30), noise)
    bound = make_engine(model, *ends).generate(prompts, Sampling(30), noise)
    assert sum(completion.ended for completion in bound) >= 3
    for whole, part in zip(free, bound, strict=True):
        places = [place for place, token in enumerate(whole.ids) if token in ends]
        assert part.ended == bool(places)
        assert part.ids.tolist() == whole.ids[: places[0] + 1 if places else None].tolist()
        assert len(part.logps) == len(part.ids)


def test_sequences_that_ended_are_computed_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts, sizes = make_prompts(), []
    step = Decoder.step
    monkeypatch.setattr(Decoder, "step", lambda self, ids: sizes.append(len(ids)) or step(self, ids))
    engine = make_engine(make_model("qwen3"), *range(20))
    completions = engine.generate(prompts, Sampling(30), noise_for(prompts, 30))
    lengths = [len(completion.ids) for completion in completions]
    expected = [sum(length > place for length in lengths) for place in range(1, max(lengths))]
    assert sizes == [count for count in expected if count]


def test_the_model_is_left_as_it_was(model: Any) -> None:
    for module in model.modules():
        module.training = len(list(module.children())) % 2 == 0  # some in train mode, some not
    attention = model.config._attn_implementation
    if model._supports_attention_backend:
        pack(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = [(module.training, len(vars(module))) for module in model.modules()], model.config.to_dict()
    prompts = make_prompts()
    completions = make_engine(model).generate(prompts, Sampling(6), noise_for(prompts, 6))
    assert ([(module.training, len(vars(module))) for module in model.modules()], model.config.to_dict()) == found
    assert model.config._attn_implementation == ("minimind_packed" if model._supports_attention_backend else attention)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    model.set_attn_implementation(attention)
    unpacked = make_engine(model.train()).generate(prompts, Sampling(6), noise_for(prompts, 6))
    assert [c.ids.tolist() for c in completions] == [c.ids.tolist() for c in unpacked]


def test_a_model_is_switched_once_for_a_text_and_back_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompts = make_model("neox"), make_prompts()
    pack(model)
    switched, switch = [], model.set_attn_implementation
    monkeypatch.setattr(model, "set_attn_implementation", lambda name: switched.append(name) or switch(name))
    make_engine(model).generate(prompts, Sampling(6), noise_for(prompts, 6))
    assert switched == ["sdpa", "minimind_packed"]
    with pytest.raises(IndexError):
        make_engine(model).generate([np.array([100])], Sampling(6), noise_for(prompts[:1], 6))
    assert model.config._attn_implementation == "minimind_packed"
    assert all(module.training for module in model.modules())


def test_what_the_model_has_learned_is_used() -> None:
    model, prompts = make_model("qwen3"), make_prompts()
    engine, noise = make_engine(model), noise_for(prompts, 6)
    before = engine.generate(prompts, Sampling(6), noise)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.3)
    engine.refresh()
    after = engine.generate(prompts, Sampling(6), noise)
    fresh = make_engine(model).generate(prompts, Sampling(6), noise)
    assert [c.ids.tolist() for c in after] == [c.ids.tolist() for c in fresh] != [c.ids.tolist() for c in before]


def test_more_tokens_than_positions_are_refused(model: Any) -> None:
    prompts, engine = make_prompts(), make_engine(model)
    engine.generate(prompts, Sampling(52), noise_for(prompts, 52))
    with pytest.raises(SettingsError, match="A prompt of 12 tokens and 53 new ones are more than the 64 positions"):
        engine.generate(prompts, Sampling(53), noise_for(prompts, 53))


def test_no_prompts_give_no_completions() -> None:
    assert make_engine(make_model("llama")).generate([], Sampling(5), np.empty((0, 5))) == []


def test_what_kernels_need_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path))
    assert missing_for_kernels() == "gcc and python3-dev"
    (tmp_path / "Python.h").touch()
    assert missing_for_kernels() == "gcc"
    monkeypatch.setenv("CC", "cc")
    assert missing_for_kernels() == ""


# Drawing --------------------------------------------------------------------------------------------------------------


def plain_choice(logits: np.ndarray, u: float, sampling: Sampling) -> tuple[int, float]:
    """The same in plain steps over one row."""
    p = np.exp(logits / sampling.temperature - (logits / sampling.temperature).max())
    order = np.argsort(-p, kind="stable")
    kept = order[: sampling.top_k or None]
    shares = p[kept] / p[kept].sum()
    if sampling.top_p < 1:
        kept = kept[: int(np.searchsorted(shares.cumsum(), sampling.top_p)) + 1]
    masked = np.zeros_like(p)
    masked[kept] = p[kept]
    masked /= masked.sum()
    token = int(np.searchsorted(masked.cumsum(), u, side="right"))
    return token, float(np.log(masked[token]))


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(1),
        Sampling(1, temperature=0.6),
        Sampling(1, top_k=7),
        Sampling(1, top_p=0.8),
        Sampling(1, temperature=1.5, top_k=20, top_p=0.5),
        Sampling(1, top_k=1),
        Sampling(1, top_p=1e-9),
    ],
    ids=str,
)
@pytest.mark.parametrize("vocabulary", [50, 64, 300])
def test_truncated_draws_are_those_of_plain_steps(sampling: Sampling, vocabulary: int) -> None:
    random = np.random.default_rng(vocabulary)
    logits, noise = random.normal(0, 2, (40, vocabulary)), random.random(40)
    ids, logps = choose(torch.from_numpy(logits), torch.from_numpy(noise), sampling)
    expected = [plain_choice(row, u, sampling) for row, u in zip(logits.astype(np.float32), noise, strict=True)]
    assert ids.tolist() == [token for token, _ in expected]
    np.testing.assert_allclose(logps, [logp for _, logp in expected], atol=1e-5)


def test_even_noise_gives_the_distribution() -> None:
    """Of 10,000 numbers at equal distances, each token gets its share, to one."""
    logits = torch.randn(1, 200, generator=torch.Generator().manual_seed(0)) * 2
    noise = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    ids, logps = choose(logits.repeat(10_000, 1), noise, Sampling(1, temperature=0.8))
    shares = (logits[0] / 0.8).softmax(-1)
    assert (torch.bincount(ids, minlength=200) / 10_000 - shares).abs().max() <= 1e-4
    torch.testing.assert_close(logps, shares.log()[ids], atol=1e-5, rtol=0)
    assert ids.diff().min() >= 0, "a larger number gives a later token"


@pytest.mark.parametrize("u", [0.0, 1 - 2**-53])
def test_the_ends_of_the_noise_give_tokens_that_can_be(u: float) -> None:
    logits = torch.full((1, 130), -torch.inf)
    logits[0, [70, 100]] = torch.tensor([0.0, -30.0])
    ids, logps = choose(logits, torch.tensor([u], dtype=torch.float64), Sampling(1))
    assert ids.item() in (70, 100)
    assert torch.isfinite(logps).all()
    first = choose(torch.zeros(1, 130), torch.tensor([u], dtype=torch.float64), Sampling(1))[0]
    assert first.item() == (0 if u == 0 else 129)
