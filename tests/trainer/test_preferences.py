"""Preference optimisation: MiniMind's loss, a reference that is worked out once, runs that stop and resume."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import trainer.log_probs
from trainer.log_probs import answer_sums, token_log_probs
from trainer.losses import evaluate
from trainer.names import Metric, Outcome
from trainer.preferences import Preference, answer_log_probs, preference_sums
from trainer.ranks import Ranks
from trainer.references import add_reference

Make = Callable[..., Any]
Series = Callable[..., dict[int, float]]


# Against MiniMind ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "form"), [("v3", "sum"), ("v2", "mean")])
def test_the_loss_is_minimind_s(minimind: Path, version: str, form: Any) -> None:
    folder = minimind / f"losses-{version}"
    expected = json.loads((folder / "expected.json").read_text())["dpo"]
    tensors = load_file(folder / "inputs.safetensors")
    mask = tensors["dpo_mask"].bool()
    answer_of = mask.nonzero()[:, 0]
    policy, reference = (answer_sums(tensors[name][mask], answer_of, 4) for name in ("dpo_policy", "dpo_ref"))
    labels = mask.sum(1).float()
    assert set(expected) == {"beta=0.1", "beta=0.15"}
    for key, value in expected.items():
        found = preference_sums(policy, reference, labels, float(key.removeprefix("beta=")), form)
        assert float(found["loss"]) / 2 == pytest.approx(value, rel=1e-5)


# The loss -----------------------------------------------------------------------------------------------------------


def test_figures_by_hand() -> None:
    policy, reference = torch.tensor([-4.0, -6.0, -9.0, -6.0]), torch.tensor([-5.0, -6.0, -8.0, -6.0])
    labels = torch.tensor([2.0, 3.0, 4.0, 3.0])
    found = preference_sums(policy, reference, labels, beta=0.5)
    assert float(found["chosen_reward"]) == 0.5
    assert float(found["rejected_reward"]) == -0.5
    assert float(found["margin"]) == 1.0
    assert float(found["accuracy"]) == 1.5  # the second pair is a tie
    assert float(found["loss"]) == pytest.approx(math.log1p(math.exp(-1)) + math.log(2))
    assert float(found["chosen_logp"]) == -4
    assert float(found["rejected_logp"]) == -4.25
    mean = preference_sums(policy, reference, labels, beta=0.5, form="mean")
    assert float(mean["margin"]) == 0.5 * (1 / 2 + 1 / 4)


def test_chunks_change_neither_log_probabilities_nor_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(50, 30, requires_grad=True), torch.randint(0, 30, (50,))
    results = []
    for chunk in (2**25, 30 * 7):
        monkeypatch.setattr(trainer.log_probs, "CHUNK", chunk)
        logits.grad = None
        found = token_log_probs(logits, targets)
        (found * torch.arange(50)).sum().backward()
        assert logits.grad is not None
        results.append((found.detach(), logits.grad.clone()))
    torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(results[0][0], logits.detach().log_softmax(-1)[torch.arange(50), targets])


@pytest.mark.parametrize("packing", [True, False])
def test_an_answer_s_log_probability_is_the_sum_over_its_labels(prefer: Make, make_pairs: Make, packing: bool) -> None:
    pairs = make_pairs(6)
    loop = prefer(data=pairs, packing=packing)
    batch = pairs.batch(np.arange(6), 0, packing, 0)
    with torch.no_grad():
        sums, _ = answer_log_probs(loop.model, batch)
        for number, (index, side) in enumerate((i, s) for s in (0, 1) for i in range(6)):
            ids, labels = map(torch.from_numpy, pairs.answer(index, side))
            logp = loop.model(input_ids=ids[None], attention_mask=torch.ones_like(ids)[None]).logits[0].log_softmax(-1)
            each = logp[:-1].gather(1, ids[1:, None])[:, 0]
            assert float(sums[number]) == pytest.approx(float(each[labels[1:] != -100].sum()), rel=1e-4)


def test_a_process_without_pairs_computes_along(prefer: Make, make_pairs: Make) -> None:
    pairs = make_pairs(4)
    loop = prefer(data=pairs)
    result = loop.objective(loop.model, pairs.batch(np.arange(2), 0, True, 0).empty())
    result.total.backward()
    assert float(result.total.detach()) == 0
    assert all(float(p.grad.abs().sum()) == 0 for p in loop.model.parameters())
    assert {float(value) for value in result.parts.values()} == {0.0}


# Runs ---------------------------------------------------------------------------------------------------------------


def test_it_begins_undecided_and_learns_the_preference(prefer: Make, make_pairs: Make, series: Series) -> None:
    loop = prefer(data=make_pairs(40), held_out=make_pairs(20, seed=1), epochs=4, learning_rate=3e-3)
    assert loop.run() is Outcome.FINISHED
    losses, accuracy = series("task"), series("task", "eval/accuracy")
    assert losses[1] == pytest.approx(math.log(2), rel=1e-5)  # the model is its own reference
    assert losses[max(losses)] < 0.6
    assert accuracy[max(accuracy)] > 0.8
    for name in ("margin", "chosen_reward", "rejected_reward", "chosen_logp", "rejected_logp"):
        assert len(series("task", f"dpo/{name}")) == 40
        assert len(series("task", f"eval/{name}")) == 10
    margin, chosen, rejected = (series("task", f"eval/{n}") for n in ("margin", "chosen_reward", "rejected_reward"))
    assert all(margin[step] == pytest.approx(chosen[step] - rejected[step], abs=1e-5) for step in margin)


@pytest.mark.parametrize("stop_at", [1, 7])
def test_a_resumed_run_equals_an_undisturbed_one_bit_for_bit(
    prefer: Make, make_pairs: Make, series: Series, stop_at: int, run_until: Callable[[Any, int], None]
) -> None:
    values = {"data": make_pairs(24), "held_out": make_pairs(6, seed=1), "epochs": 2}
    prefer("whole", **values).run()
    run_until(prefer("parts", **values), stop_at)
    assert prefer("parts", **values).run() is Outcome.FINISHED
    for key in ("train/loss", "dpo/margin", "eval/accuracy", "eval/loss"):
        assert series("parts", key) == series("whole", key)


@pytest.mark.parametrize("other", [{"packing": False}, {"batch_size": 2, "accumulation_steps": 4}])
def test_however_a_step_is_cut_up_its_loss_stays(
    prefer: Make, make_pairs: Make, series: Series, other: dict[str, Any]
) -> None:
    pairs = make_pairs(24)
    prefer("whole", data=pairs, batch_size=8).run()
    prefer("other", data=pairs, **{"batch_size": 8} | other).run()
    for key in ("train/loss", "dpo/chosen_logp"):
        assert list(series("other", key).values()) == pytest.approx(list(series("whole", key).values()), rel=3e-4)


def test_a_mixture_of_experts_is_balanced_too(prefer: Make, make_pairs: Make, series: Series) -> None:
    values = {"use_moe": True, "num_experts": 2, "num_experts_per_tok": 2, "max_steps": 3}
    assert prefer(data=make_pairs(12), **values).run() is Outcome.FINISHED
    assert all(value > 0 for value in series("task", Metric.AUX_LOSS).values())


def test_a_fall_of_the_chosen_answers_is_told_once(prefer: Make, make_pairs: Make, tmp_path: Path) -> None:
    pairs = make_pairs(12)
    loop = prefer(data=pairs, held_out=pairs, epochs=3)
    for rows in (loop.rows, loop.eval_rows):
        rows.reference = rows.reference + 20  # as if it had been much surer of both answers
    loop.run()
    events = [json.loads(line) for line in (tmp_path / "task" / "metrics.jsonl").read_text().splitlines()]
    told = [event for event in events if event["kind"] == "event"]
    assert [event["name"] for event in told] == ["chosen_less_likely"]
    assert "Lower learning_rate" in told[0]["text"]


def test_a_measure_counts_pairs(prefer: Make, make_pairs: Make) -> None:
    pairs = make_pairs(7)
    loop = prefer(data=pairs)
    batches = [pairs.batch(np.arange(4), None, True, 0), pairs.batch(np.arange(4, 7), None, True, 0)]
    measure = Preference(0.15).measure
    with torch.no_grad():
        found = evaluate(measure, loop.model, batches, loop.device, "float32", Ranks())
        whole = measure(loop.model.eval(), pairs.batch(np.arange(7), None, True, 0))
    assert {n: v * 7 for n, v in found.items()} == pytest.approx({n: float(v) for n, v in whole.items()}, rel=1e-4)


def test_a_stop_while_the_reference_is_made_leaves_none(prefer: Make, make_pairs: Make, tmp_path: Path) -> None:
    pairs, held_out = make_pairs(12), make_pairs(4, seed=1)
    loop = prefer(data=pairs)
    loop.session.stop_requested = True
    parts: Any = SimpleNamespace(
        model=loop.model, tokenizer=loop.tokenizer, rows=pairs, eval_rows=held_out, resumed=False
    )
    (tmp_path / "task" / "reference.npz").unlink()
    assert not add_reference(loop.config, loop.session, parts, loop.device)
    assert held_out.reference is None
    assert not (tmp_path / "task" / "reference.npz").exists()
