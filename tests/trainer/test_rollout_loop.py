"""The loop of the types that learn from rewards, with real models of 20,000 weights and the shipped tokenizer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainer.bases import Base
from trainer.errors import BaseModelError, DataError, RewardError, SettingsError
from trainer.names import Outcome
from trainer.prompts import Prompts, load_prompts
from trainer.reference_model import keep_reference
from trainer.reinforcement import fitted
from trainer.rl_config import GRPOConfig
from trainer.supervised import Parts
from trainer.tokenization import load_tokenizer

TYPES = ("grpo", "spo", "ppo")


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return load_tokenizer(None)


@pytest.fixture
def prompts_file(make_prompts: Any) -> Path:
    return make_prompts()


@pytest.fixture
def make(make_rollouts: Any) -> Any:
    return make_rollouts


def points(folder: Path, key: str) -> dict[int, float]:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {r["step"]: r["values"][key] for r in records if r["kind"] == "metrics" and key in r["values"]}


@pytest.mark.parametrize(("kind", "stop"), [("grpo", 1), ("grpo", 3), ("spo", 2), ("ppo", 1), ("ppo", 3)])
def test_a_resume_goes_on_bit_for_bit(make: Any, tmp_path: Path, kind: str, stop: int) -> None:
    assert make(kind, "whole", held_out=2).run() is Outcome.FINISHED
    loop = make(kind, "parts", held_out=2)
    stop_at(loop, stop)
    assert loop.run() is Outcome.STOPPED
    (tmp_path / "parts" / "samples.jsonl").open("a").write('{"step": 9, "prompt": "lost"}\n{"step": 10, "pro')
    assert make(kind, "parts", held_out=2).run() is Outcome.FINISHED
    for key in ("train/loss", "train/reward", "train/grad_norm", "train/kl", "rollout/length", "reward/length"):
        whole, parts = (points(tmp_path / name, key) for name in ("whole", "parts"))
        assert parts == whole, key
        assert len(whole) >= 3
    assert points(tmp_path / "parts", "eval/reward")[0] == points(tmp_path / "whole", "eval/reward")[0]
    samples = [(tmp_path / name / "samples.jsonl").read_text() for name in ("whole", "parts")]
    assert samples[0] == samples[1]


def stop_at(loop: Any, step: int) -> None:
    keep = loop._keep

    def stopping(groups: Any) -> None:
        keep(groups)
        loop.session.stop_requested = loop.step + 1 >= step

    loop._keep = stopping


@pytest.mark.parametrize("held_out", [0, 4])
def test_a_stop_waits_neither_for_answers_nor_for_the_evaluation(make: Any, tmp_path: Path, held_out: int) -> None:
    make("grpo", "whole", held_out=held_out, max_gen_len=64).run()
    loop = make("grpo", "parts", held_out=held_out, max_gen_len=64)
    generate, calls = loop.engine.generate, []

    def stopping(prompts: Any, sampling: Any, noise: Any, stop: Any) -> Any:
        calls.append(sampling.temperature)
        loop.session.stop_requested = loop.step == 3 and (sampling.temperature == 0 or not held_out)
        found = generate(prompts, sampling, noise, stop)
        assert not loop.session.stop_requested or max(map(len, [c.ids for c in found])) < 8
        return found

    loop.engine.generate = stopping
    assert loop.run() is Outcome.STOPPED
    assert loop.step == 3
    assert (0.0 in calls) == bool(held_out)
    assert make("grpo", "parts", held_out=held_out, max_gen_len=64).run() is Outcome.FINISHED
    assert points(tmp_path / "parts", "train/loss") == points(tmp_path / "whole", "train/loss")


def test_held_out_prompts_are_capped_and_must_fit(make: Any) -> None:
    loop = make("grpo", held_out=6)
    parts = Parts(loop.model, loop.tokenizer, loop.prompts, loop.eval_prompts, False, Base("none"))
    config = loop.settings.model_copy(update={"max_gen_len": 16})
    longest = max(int(some.lengths.max()) for some in (loop.prompts, loop.eval_prompts))
    loop.model.config.max_position_embeddings = longest + 16
    type(config).max_eval_rows, whole = 4, type(config).max_eval_rows
    try:
        found = fitted(config, parts)
    finally:
        type(config).max_eval_rows = whole
    assert len(found.eval_rows) == 4  # type: ignore[arg-type]
    rows: Any = found.rows
    assert max(len(rows.get(i, epoch).ids) for i in range(6) for epoch in range(20)) <= longest
    with pytest.raises(SettingsError) as small:
        fitted(config.model_copy(update={"max_gen_len": 17}), parts)
    assert small.value.problems[0].field == "max_gen_len"
    loop.model.config.max_position_embeddings = 10
    with pytest.raises(SettingsError) as smaller:
        fitted(config, parts)
    assert smaller.value.problems[0].field == "max_seq_len"


@pytest.mark.parametrize("kind", TYPES)
def test_what_was_rewarded_becomes_more_frequent(make: Any, tmp_path: Path, kind: str) -> None:
    values = {"rewards": [{"kind": "regex", "pattern": "e"}], "batch_size": 12, "epochs": 15, "max_gen_len": 2}
    values |= {"thinking_ratio": 0, "system_prompt_ratio": 0, "learning_rate": 1e-2, "accumulation_steps": 1}
    values |= {"top_k": 8, "mini_batch_size": 12} if kind == "ppo" else {"top_k": 8}
    more = {"critic_learning_rate": 1e-2, "kl_coef": 0.0} if kind == "ppo" else {"beta": 0.0}
    make(kind, **values, **more).run()
    rewards = list(points(tmp_path / "task", "train/reward").values())
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5]) + 0.1


def test_equal_rewards_in_a_group_teach_nothing_and_break_nothing(make: Any, tmp_path: Path) -> None:
    values = {"rewards": [{"kind": "regex", "pattern": "."}], "beta": 0.0, "weight_decay": 0.0}
    loop = make("grpo", **values)
    before = {name: value.clone() for name, value in loop.model.state_dict().items()}
    loop.run()
    assert all(torch.equal(before[name], value) for name, value in loop.model.state_dict().items())
    assert set(points(tmp_path / "task", "train/loss").values()) == {0.0}


def test_answers_without_an_end_are_counted_as_cut(make: Any, tmp_path: Path) -> None:
    loop = make("grpo", max_gen_len=2, samples_per_step=12)
    loop.engine._ends = torch.arange(0, 6400, 2)  # every other token is an end
    loop.run()
    samples = [json.loads(line) for line in (tmp_path / "task" / "samples.jsonl").read_text().splitlines()]
    assert {s["tokens"] for s in samples} == {1, 2}
    assert all(s["ended"] or s["tokens"] == 2 for s in samples)
    for step, share in points(tmp_path / "task", "rollout/truncated").items():
        cut = [not s["ended"] for s in samples if s["step"] == step]
        assert share == pytest.approx(np.mean(cut))
        assert 0 < share < 1


def test_learning_scores_what_was_drawn(make: Any, tmp_path: Path) -> None:
    make("grpo", "plain", rollout_temperature=0.7).run()
    make("grpo", "cut", rollout_temperature=0.7, top_k=3).run()
    assert max(points(tmp_path / "plain", "rollout/logp_gap").values()) < 1e-4
    assert min(points(tmp_path / "cut", "rollout/logp_gap").values()) > 0.1


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("grpo", {"use_moe": True, "num_experts": 2}),
        ("ppo", {"use_moe": True, "num_experts": 2}),
        ("grpo", {"architecture": "v2", "packing": False, "advantage_norm": "batch"}),
        ("ppo", {"architecture": "v2", "packing": False, "advantage_level": "sequence"}),
        ("spo", {"gradient_checkpointing": True, "accumulation_steps": 1}),
        ("ppo", {"top_p": 0.9}),
    ],
)
def test_every_kind_of_model_learns_from_what_it_drew(
    make: Any, tmp_path: Path, kind: str, values: dict[str, Any]
) -> None:
    loop = make(kind, max_steps=2, weight_decay=0.0, **values)
    before = [parameter.detach().clone() for parameter in loop.model.parameters()]
    assert loop.run() is Outcome.FINISHED
    gaps = points(tmp_path / "task", "rollout/logp_gap")
    assert (max(gaps.values()) < 1e-4) == ("top_p" not in values)
    assert np.isfinite(list(points(tmp_path / "task", "train/loss").values())).all()
    assert any(not torch.equal(old, new) for old, new in zip(before, loop.model.parameters(), strict=True))


@pytest.mark.usefixtures("traced")
def test_compiling_changes_no_loss(make: Any, tmp_path: Path) -> None:
    make("ppo", "plain", max_steps=2, packing=False).run()
    make("ppo", "compiled", max_steps=2, packing=False, compile=True).run()
    for key in ("train/loss", "train/kl", "train/grad_norm"):
        plain, compiled = (points(tmp_path / name, key) for name in ("plain", "compiled"))
        assert list(compiled.values()) == pytest.approx(list(plain.values()), rel=2e-3, abs=1e-5)


@pytest.mark.parametrize("kind", TYPES)
def test_a_step_whose_reward_fails_is_told_and_left_out(
    make: Any, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_rewards.py").write_text(
        "def odd(samples):\n    return [float('nan') if i % 2 else 1.0 for i in range(len(samples))]\n"
        "def bad(samples):\n    raise ValueError('no service')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("MINIMIND_REWARD_MODULES", "odd_rewards")
    rewards = [{"kind": "function", "function": "odd_rewards:odd"}, {"kind": "length"}]
    loop = make(kind, "skip", rewards=rewards, reward_errors="skip")
    assert loop.run() is Outcome.FINISHED
    losses = list(points(tmp_path / "skip", "train/loss").values())
    assert np.isfinite(losses).all()
    events = [json.loads(x) for x in (tmp_path / "skip" / "metrics.jsonl").read_text().splitlines()]
    assert any(e["kind"] == "event" and "odd_rewards:odd returned nan" in e["text"] for e in events)
    with pytest.raises(RewardError, match="odd_rewards:odd returned nan"):
        make(kind, "stop", rewards=rewards).run()
    failing = [{"kind": "function", "function": "odd_rewards:bad"}]
    with pytest.raises(RewardError, match="No answer of step 1 could be rewarded"):
        make(kind, "all", rewards=failing, reward_errors="skip").run()


def test_ppo_stops_a_step_that_moves_too_far(make: Any, tmp_path: Path) -> None:
    make("ppo", "free", ppo_update_iters=3, early_stop_kl=0.0).run()
    make("ppo", "held", ppo_update_iters=3, early_stop_kl=1e-9, learning_rate=1e-2).run()
    assert set(points(tmp_path / "free", "train/updates").values()) == {6.0}
    assert set(points(tmp_path / "held", "train/updates").values()) == {1.0}


def test_a_reference_or_critic_of_another_size_is_refused(make: Any, tmp_path: Path) -> None:
    narrow, wide = make("ppo", "narrow"), make("ppo", "wide", hidden_size=64)
    again = {"tokenizer": wide.tokenizer, "resumed": True, "packing": True, "first": True}
    assert keep_reference(tmp_path / "narrow", narrow.model, **again).config.hidden_size == 32
    with pytest.raises(BaseModelError, match=r"narrow/reference has another size .* \(6400, 32\), and \(6400, 64\)"):
        keep_reference(tmp_path / "narrow", wide.model, **again)
    with pytest.raises(BaseModelError, match="critic in the checkpoint does not fit"):
        wide.load_own_state(narrow.own_state())
    (tmp_path / "narrow" / "reference" / "config.json").unlink()
    with pytest.raises(BaseModelError, match="no longer at"):
        keep_reference(tmp_path / "narrow", narrow.model, **again)


def test_a_curve_of_ppo_weighs_each_answer_the_same(make: Any, tmp_path: Path) -> None:
    values = {"samples_per_step": 4, "learning_rate": 1e-9, "critic_learning_rate": 1e-9}
    make("ppo", "single", log_interval=1, **values).run()
    make("ppo", "window", log_interval=6, **values).run()
    for key in ("train/reward", "rollout/length"):
        single, window = (points(tmp_path / name, key) for name in ("single", "window"))
        each = np.array(list(single.values())).reshape(3, 2).mean(axis=1)  # a checkpoint closes a window too
        assert list(window.values()) == pytest.approx(each, rel=1e-5)


def test_ppo_leaves_out_an_update_that_is_not_finite(make: Any, tmp_path: Path) -> None:
    loop = make("ppo", nan_policy="skip")
    backward, calls = loop._backward, []

    def broken(batches: Any, count: int) -> Any:
        loss, sums = backward(batches, count)
        calls.append(1)
        return (loss * float("nan"), sums) if len(calls) == 2 or 5 <= len(calls) <= 8 else (loss, sums)

    loop._backward = broken
    assert loop.run() is Outcome.FINISHED
    updates = points(tmp_path / "task", "train/updates")
    assert [updates[step] for step in (1, 2, 3)] == [3, 0, 4]
    assert np.isfinite(list(points(tmp_path / "task", "train/loss").values())).all()
    assert "An update of step 1 skipped" in (tmp_path / "task" / "metrics.jsonl").read_text()


def test_missing_answers_are_named_before_training(make: Any, prompts_file: Path, tokenizer: Any) -> None:
    with prompts_file.open("a") as file:
        file.write('{"conversations": [{"role": "user", "content": "Why?"}]}\n')
    config = GRPOConfig.model_validate({"data_path": str(prompts_file), "from_weight": "base"})
    with pytest.raises(
        DataError, match=r"1 of 13 rows .* cannot be rewarded \(line 13\): it has no right answers in gt"
    ):
        load_prompts(str(prompts_file), config, tokenizer)


def test_prompts_that_fill_the_window_are_left_out_and_named(prompts_file: Path, tokenizer: Any) -> None:
    long = {"conversations": [{"role": "user", "content": "word " * 400}], "gt": ["1"]}
    with prompts_file.open("a") as file:
        file.write(json.dumps(long) + "\n")
    values = {"data_path": str(prompts_file), "from_weight": "base", "max_seq_len": 64}
    config = GRPOConfig.model_validate(values)
    prompts = load_prompts(str(prompts_file), config, tokenizer)
    assert len(prompts) == 12
    assert "1 of 13 prompts" in prompts.report.notices[-1]
    assert "line 13" in prompts.report.notices[-1]
    assert all(len(prompts.get(i, epoch).ids) <= 64 for i in range(12) for epoch in range(5))
    with pytest.raises(DataError, match="line 13"):
        load_prompts(str(prompts_file), config.model_copy(update={"unlabelled_rows": "refuse"}), tokenizer)
    with pytest.raises(DataError, match="13 of 13 prompts") as none:
        load_prompts(str(prompts_file), config.model_copy(update={"max_seq_len": 8}), tokenizer)
    assert "Raise max_seq_len" in none.value.hint


def test_a_prompt_is_the_template_up_to_the_answer(prompts_file: Path, tokenizer: Any) -> None:
    values = {"data_path": str(prompts_file), "from_weight": "base", "system_prompt_ratio": 0, "thinking_ratio": 1}
    prompts: Prompts = load_prompts(str(prompts_file), GRPOConfig.model_validate(values), tokenizer)
    text = tokenizer.decode(prompts.get(3, 0).ids)
    assert text == "<|im_start|>user\n3 + 3 = ?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert prompts.get(3, 0).gt == ("6",)
    assert prompts.places([3, 5]) == f"line 4, 6 of {prompts_file}"
