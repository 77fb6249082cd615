"""Adapters: MiniMind's own figures, PEFT's, and a base that stays as it is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from trainer.adapter_bases import BaseRecord, fingerprint, sizes_of
from trainer.adapters import AdapterFiles, add_adapters, lora_layers, merge_adapters, square_layers
from trainer.checkpoints import Checkpoints
from trainer.configs import LoRAConfig, parse_config
from trainer.errors import BaseModelError, SettingsError
from trainer.lora_files import RANKS, is_lora, lora_state, merge_lora
from trainer.minimind_files import read_pth
from trainer.models import load_pth, trainable_count
from trainer.names import Outcome

Make = Callable[..., Any]
Series = Callable[..., dict[int, float]]
LORA = {"type_name": "lora", "from_weight": "base", "lora_rank": 4, "learning_rate": 3e-2}
FILES = {"v3-dense": ("full_sft_64.pth", "lora_test_64.pth", 8), "v2-dense": ("full_sft_32.pth", "lora_test_32.pth", 4)}


def adapted(config: LoRAConfig, model: Any) -> AdapterFiles:
    record = BaseRecord("base", "/base", fingerprint(model), "", sizes_of(model))
    add_adapters(model, config)
    return AdapterFiles(config, record)


@pytest.fixture
def make_lora(make_loop: Make) -> Make:
    return lambda name="task", **values: make_loop(name, adapt=adapted, **(LORA | values))


# MiniMind's files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_logits_with_a_minimind_lora_file_equal_minimind(minimind: Path, name: str) -> None:
    weights, lora, heads = FILES[name]
    folder, model = minimind / name, load_pth(minimind / name / weights, heads)
    model = merge_lora(model, read_pth(folder / lora), folder / lora).eval()
    reference = load_file(folder / "lora_reference.safetensors")
    with torch.no_grad():
        logits = model(reference["input_ids"]).logits
    torch.testing.assert_close(logits[..., reference["vocab_sample"]], reference["logits_sample"], atol=1e-4, rtol=0)
    plain = load_file(folder / "reference.safetensors")["logits_sample"]
    assert (reference["logits_sample"] - plain).abs().max() > 0.01, "the adapters would not show in the logits"


@pytest.mark.parametrize("name", FILES)
def test_square_layers_are_those_of_minimind(minimind: Path, name: str) -> None:
    weights, lora, heads = FILES[name]
    theirs = read_pth(minimind / name / lora)
    squares = square_layers(load_pth(minimind / name / weights, heads))
    assert {f"{module}.lora.{part}.weight" for module in squares for part in "AB"} == theirs.keys()
    pairs = {m: (theirs[f"{m}.lora.A.weight"], theirs[f"{m}.lora.B.weight"]) for m in squares}
    ours = lora_state(pairs, 1.0, squares, RANKS[name[:2]])
    assert all(torch.equal(ours[key], theirs[key].half()) for key in theirs)


def test_a_lora_file_of_another_base_is_refused(minimind: Path) -> None:
    model = load_pth(minimind / "v3-dense" / "full_sft_64.pth")
    path = minimind / "v2-dense" / "lora_test_32.pth"
    with pytest.raises(BaseModelError, match=r"lora_test_32\.pth does not fit the base: .*32 × 32 there, 64 × 64 here"):
        merge_lora(model, read_pth(path), path)


def test_a_lora_file_is_no_base_by_itself(minimind: Path) -> None:
    path = minimind / "v3-dense" / "lora_test_64.pth"
    with pytest.raises(BaseModelError, match=r"lora_test_64\.pth is a MiniMind LoRA file"):
        load_pth(path)
    assert is_lora(read_pth(path))


# The loop ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"use_moe": True}, {"lora_target_modules": "all-linear"}])
def test_only_adapters_change(make_lora: Make, series: Series, more: dict[str, Any]) -> None:
    loop = make_lora(epochs=4, **more)
    before = {name: p.detach().clone() for name, p in loop.model.named_parameters()}
    assert trainable_count(loop.model) == sum(p.numel() for g in loop.optimizer.param_groups for p in g["params"])
    assert loop.run() is Outcome.FINISHED
    changed = {name for name, p in loop.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name in before if ".lora_" in name}
    losses = series("task")
    assert min(losses.values()) < losses[1] - 0.05


@pytest.mark.parametrize("stop_at", [1, 7, 13])
def test_a_resumed_run_equals_an_undisturbed_one_bit_for_bit(
    make_lora: Make, series: Series, rows: Any, stop_at: int, run_until: Callable[[Any, int], None]
) -> None:
    values = {"held_out": rows, "lora_dropout": 0.2, "lora_target_modules": "q_proj,v_proj"}
    whole = make_lora("whole", **values)
    whole.run()
    first = make_lora("parts", **values)
    run_until(first, stop_at)
    second = make_lora("parts", **values)
    assert second.run() is Outcome.FINISHED
    assert series("parts") == series("whole")
    assert series("parts", "eval/loss") == series("whole", "eval/loss")
    theirs = dict(whole.model.named_parameters())
    assert all(torch.equal(p, theirs[name]) for name, p in second.model.named_parameters())


def test_dropout_is_drawn_by_the_seed(make_lora: Make, series: Series) -> None:
    for name, seed, dropout in (("a", 1, 0.3), ("b", 1, 0.3), ("c", 1, 0.0)):
        make_lora(name, seed=seed, lora_dropout=dropout, max_steps=6).run()
    assert series("a") == series("b") != series("c")


@pytest.mark.parametrize("way", [{"packing": False}, {"gradient_checkpointing": True}])
def test_other_ways_to_compute_change_no_loss(make_lora: Make, series: Series, way: dict[str, bool]) -> None:
    make_lora("plain", max_steps=8).run()
    make_lora("other", max_steps=8, **way).run()
    assert list(series("other").values()) == pytest.approx(list(series("plain").values()), rel=2e-4)


@pytest.mark.usefixtures("traced")
def test_compiling_changes_no_loss(make_lora: Make, series: Series) -> None:
    make_lora("plain", max_steps=4).run()
    make_lora("compiled", max_steps=4, compile=True).run()
    assert list(series("compiled").values()) == pytest.approx(list(series("plain").values()), rel=2e-4)


def test_alpha_scales_what_adapters_add(make_lora: Make, series: Series) -> None:
    for name, alpha in (("default", 0), ("rank", 4), ("double", 8)):
        make_lora(name, lora_alpha=alpha, max_steps=6).run()
    assert series("default") == series("rank") != series("double")
    assert series("double")[1] == series("rank")[1], "B is 0, so every run begins with the base's own loss"


def test_the_first_adapters_are_minimind_s(make_loop: Make) -> None:
    loop = make_loop(adapt=adapted, type_name="lora", from_weight="base", hidden_size=128, lora_rank=64)
    for layer in lora_layers(loop.model).values():
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        assert a.std().item() == pytest.approx(0.02, rel=0.1) and not b.any()
        assert layer.scaling["default"] == 1.0


@pytest.mark.parametrize(("names", "unknown"), [("q_proj, w_q", "w_q"), ("lm_head", "lm_head"), ("all_linear", "all_")])
def test_layers_that_do_not_exist_are_told_with_those_that_do(make_lora: Make, names: str, unknown: str) -> None:
    with pytest.raises(SettingsError, match=rf"no linear layers named {unknown}.*down_proj.*q_proj"):
        make_lora(lora_target_modules=names)


def test_no_layers_are_not_all_layers() -> None:
    with pytest.raises(SettingsError, match="all-linear for all linear ones, got ' , '"):
        parse_config("lora", {"data_path": "x", "lora_target_modules": " , "})


@pytest.mark.parametrize("moe", [False, True])
def test_peft_loads_the_checkpoint_with_equal_logits(make_lora: Make, tmp_path: Path, moe: bool) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    loop = make_lora(lora_alpha=6, use_moe=moe, max_steps=8, packing=False)
    base = AutoModelForCausalLM.from_config(loop.model.config, dtype=torch.float32)
    plain = {n.replace(".base_layer", ""): t for n, t in loop.model.state_dict().items() if ".lora_" not in n}
    base.load_state_dict(plain)
    loop.run()
    newest = Checkpoints(tmp_path / "task", 3).newest_good()
    assert newest is not None
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        ours, before = loop.model.eval()(ids).logits, base.eval()(ids).logits
        theirs = PeftModel.from_pretrained(base, str(newest.path)).eval()(ids).logits
        assert not torch.equal(ours, before)
        torch.testing.assert_close(theirs, ours, atol=1e-6, rtol=0)
    del theirs
    base = AutoModelForCausalLM.from_config(loop.model.config, dtype=torch.float32)
    base.load_state_dict(plain)
    with torch.no_grad():
        merged = merge_adapters(base, newest.path).eval()(ids).logits
    torch.testing.assert_close(merged, ours, atol=1e-5, rtol=0)


def test_a_checkpoint_of_another_rank_or_base_is_refused(make_lora: Make, tmp_path: Path) -> None:
    loop = make_lora(max_steps=2)
    loop.run()
    newest = Checkpoints(tmp_path / "task", 3).newest_good()
    assert newest is not None
    wider = make_lora("wider", lora_rank=8)
    with pytest.raises(BaseModelError, match=r"step_000002 are of another rank"):
        wider.files.load(wider.model, newest.path)
    loop.files._record = replace(loop.files._record, name="another", sha256="0" * 64)
    with pytest.raises(BaseModelError, match=r"belong to base with weights of SHA-256 .* but another holds others"):
        loop.files.load(loop.model, newest.path)
