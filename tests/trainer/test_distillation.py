"""Reasoning and white-box distillation: losses against MiniMind's figures, and runs that stop, resume and are cut up
without a change of the losses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import trainer.distillation
from trainer.batches import IGNORE, make_batch
from trainer.distillation import distillation_sums
from trainer.losses import next_token_loss, weighted_token_loss
from trainer.models import load_pth
from trainer.names import Metric, Outcome

Make = Callable[..., Any]
Series = Callable[..., dict[int, float]]


# Against MiniMind ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v3", "v2"])
@pytest.mark.parametrize("chunk", [2**25, 64])
def test_distance_to_the_teacher_is_minimind_s(
    minimind: Path, version: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer.distillation, "CHUNK", chunk)
    folder = minimind / f"losses-{version}"
    expected = json.loads((folder / "expected.json").read_text())["distillation_kl_T2"]
    tensors = load_file(folder / "inputs.safetensors")
    student, teacher = tensors["kd_student"], tensors["kd_teacher"]
    assert set(expected) == {"T=1.0", "T=1.5", "T=2.0"}
    for key, value in expected.items():
        targets = torch.zeros(len(student), dtype=torch.long)
        ce, kl = distillation_sums(student, teacher, targets, float(key.removeprefix("T=")))
        assert float(kl) / len(student) == pytest.approx(value, rel=1e-5)
        reference = torch.nn.functional.cross_entropy(student, targets, reduction="sum")
        assert float(ce) == pytest.approx(float(reference), rel=1e-5)


PIECES = [30, 450, 1573, 32, 5540, 662, 89, 275]
"""The pieces of the four tags in v2's tokenizer, which is not at hand (contract section 5)."""


def test_reasoning_loss_is_minimind_s(minimind: Path, rows: Any) -> None:
    folder = minimind / "losses-v2"
    expected = json.loads((folder / "expected.json").read_text())["reason_v2"]
    tensors = load_file(folder / "inputs.safetensors")
    ids, labels = tensors["reason_input_ids"][0].numpy(), tensors["reason_labels"][0].numpy()
    end = int(np.flatnonzero(ids)[-1]) + 1
    rows = type(rows)([(ids[:end], labels[:end])])
    rows.weigh = lambda ids, labels: np.where(np.isin(ids, PIECES) & (labels != IGNORE), 10, 1).astype(np.float32)
    model = load_pth(minimind / "v2-dense" / "full_sft_32.pth", heads=4).train()
    batch = make_batch(rows, np.arange(1), 0, False, 0)
    assert batch.weights is not None
    assert len(batch.targets) == expected["tokens_in_denominator"]
    assert int((batch.weights == 10).sum()) == expected["weighted_positions"]
    result = weighted_token_loss(model, batch)
    loss = result.total / len(batch.targets)
    assert float(loss.detach()) == pytest.approx(expected["loss"], rel=1e-5)
    loss.backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    assert float(norm) == pytest.approx(expected["grad_norm"], rel=1e-4)
    plain = next_token_loss(model, batch).total.detach()
    assert float(result.parts[Metric.CE_LOSS]) == pytest.approx(float(plain), rel=1e-6)


# The loss -----------------------------------------------------------------------------------------------------------


def test_chunks_change_neither_loss_nor_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(50, 30, requires_grad=True), torch.randn(50, 40)
    targets = torch.randint(0, 30, (50,))
    results = []
    for chunk in (2**25, 30 * 7):
        monkeypatch.setattr(trainer.distillation, "CHUNK", chunk)
        student.grad = None
        ce, kl = distillation_sums(student, teacher, targets, 1.5)
        (0.3 * ce + 0.7 * kl).backward()
        assert student.grad is not None
        results.append((ce.detach(), kl.detach(), student.grad.clone()))
    for whole, cut in zip(*results, strict=True):
        torch.testing.assert_close(cut, whole)


def test_half_precision_logits_are_compared_in_float32() -> None:
    torch.manual_seed(0)
    student, teacher = (8 * torch.randn(20, 300)).bfloat16(), (8 * torch.randn(20, 300)).bfloat16()
    targets = torch.randint(0, 300, (20,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ce, kl = distillation_sums(student, teacher, targets, 2.0)
    assert ce.dtype == kl.dtype == torch.float32
    exact = distillation_sums(student.float(), teacher.float(), targets, 2.0)
    assert (float(ce), float(kl)) == (float(exact[0]), float(exact[1]))


def test_alpha_is_the_share_of_the_data(distil: Make, rows: Any) -> None:
    sums = {}
    for alpha in (0.0, 0.5, 1.0):
        loop = distil(f"alpha{alpha}", alpha=alpha)
        batch = make_batch(rows, np.arange(8), 0, True, 0)
        with torch.no_grad():
            sums[alpha] = loop.objective(loop.model, batch)
        plain = next_token_loss(loop.model, batch).total.detach()
        assert float(sums[alpha].parts[Metric.CE_LOSS]) == pytest.approx(float(plain), rel=1e-6)
    assert float(sums[1.0].total) == pytest.approx(float(sums[1.0].parts[Metric.CE_LOSS]))
    assert float(sums[0.0].total) == pytest.approx(float(sums[0.0].parts[Metric.KL_LOSS]))
    assert float(sums[0.5].total) == pytest.approx((float(sums[0.0].total) + float(sums[1.0].total)) / 2)


# Runs ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["reason", "distil"])
def make(request: pytest.FixtureRequest) -> Make:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("stop_at", [1, 7, 13])
def test_a_resumed_run_equals_an_undisturbed_one_bit_for_bit(
    make: Make, series: Series, rows: Any, stop_at: int, run_until: Callable[[Any, int], None]
) -> None:
    whole = make("whole", held_out=rows)
    whole.run()
    first = make("parts", held_out=rows)
    run_until(first, stop_at)
    assert make("parts", held_out=rows).run() is Outcome.FINISHED
    for key in ("train/loss", "train/ce_loss", "eval/loss"):
        assert series("parts", key) == series("whole", key)


@pytest.mark.parametrize(
    "other",
    [{"packing": False}, {"batch_size": 2, "accumulation_steps": 4}, {"batch_size": 1, "accumulation_steps": 8}],
)
def test_however_a_step_is_cut_up_its_loss_stays(make: Make, series: Series, other: dict[str, Any]) -> None:
    make("whole", batch_size=8).run()
    make("other", **{"batch_size": 8} | other).run()
    for key in ("train/loss", "train/ce_loss"):
        assert list(series("other", key).values()) == pytest.approx(list(series("whole", key).values()), rel=3e-4)


@pytest.mark.usefixtures("traced")
def test_compiling_changes_no_loss(distil: Make, series: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer.distillation, "CHUNK", 64 * 20)  # several chunks a batch
    small = {"max_steps": 3, "num_hidden_layers": 1, "teacher_layers": 1, "packing": False}
    distil("compiled", compile=True, **small).run()
    distil("plain", **small).run()
    for key in ("train/loss", "train/ce_loss"):
        assert list(series("compiled", key).values()) == pytest.approx(list(series("plain", key).values()), rel=2e-4)


def test_the_loss_of_tags_is_weighed_and_the_evaluation_is_not(reason: Make, series: Series, rows: Any) -> None:
    loop = reason(held_out=rows)
    loop.run()
    weighed, plain, held = series("task"), series("task", "train/ce_loss"), series("task", "eval/loss")
    assert all(weighed[step] > plain[step] for step in weighed)
    with torch.no_grad():
        batch = make_batch(rows, np.arange(len(rows)), None, True, 0)
        total = next_token_loss(loop.model.eval(), batch).total
    assert held[max(held)] == pytest.approx(float(total) / len(batch.targets), rel=1e-5)


@pytest.mark.parametrize(("student_moe", "teacher_moe"), [(False, True), (True, False), (True, True)])
def test_mixtures_of_experts_teach_and_learn(
    distil: Make, series: Series, student_moe: bool, teacher_moe: bool
) -> None:
    values = {"use_moe": student_moe, "teacher_moe": teacher_moe}
    loop = distil("packed", **values)
    loop.run()
    distil("padded", packing=False, **values).run()
    # From the second step on, the padding has its part in the load balancing of a mixture.
    same = 1 if student_moe else 20
    packed, padded = list(series("packed").values()), list(series("padded").values())
    assert packed[:same] == pytest.approx(padded[:same], rel=5e-4)
    kl, aux = series("packed", "train/kl_loss"), series("packed", "train/aux_loss")
    assert kl[20] < kl[1]
    assert bool(aux) == student_moe


def test_the_teacher_stays_as_it_was(distil: Make) -> None:
    loop = distil(teacher_moe=True)
    before = {name: tensor.clone() for name, tensor in loop.objective.teacher.state_dict().items()}
    loop.run()
    teacher = loop.objective.teacher
    assert not teacher.training
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())


def test_a_student_comes_nearer_to_its_teacher_than_by_the_data_alone(distil: Make, series: Series) -> None:
    distil("taught", alpha=0.0, epochs=5).run()
    distil("alone", alpha=1.0, epochs=5).run()
    taught, alone = series("taught", "train/kl_loss"), series("alone", "train/kl_loss")
    assert taught[50] < 0.8 * alone[50]
