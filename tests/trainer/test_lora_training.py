"""The LoRA type as a whole: what a training leaves behind, what goes on from it, and merging."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from trainer.adapter_bases import fingerprint
from trainer.base_sizes import base_sizes, sidecar
from trainer.bases import base_at, build_model, load_base, resolve_base
from trainer.checkpoints import Checkpoints
from trainer.configs import LoRAConfig, parse_config
from trainer.errors import BaseModelError
from trainer.minimind_files import read_pth
from trainer.models import load_folder, load_pth, parameter_count, trainable_count
from trainer.names import Outcome
from trainer.session import Session
from trainer.tokenization import load_tokenizer
from trainer.weights_cli import main

FILES = {"v3-dense": ("full_sft_64.pth", "lora_test_64.pth", 8), "v2-dense": ("full_sft_32.pth", "lora_test_32.pth", 4)}


@pytest.fixture(scope="module")
def home(minimind: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a trained task `out/task`, on top of MiniMind's reference weights in `base`."""
    home = tmp_path_factory.mktemp("lora")
    shutil.copytree(minimind / "v3-dense" / "transformers-qwen3", home / "base")
    turns = [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "I am a small model."}]
    (home / "rows.jsonl").write_text((json.dumps({"conversations": turns}) + "\n") * 24)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    assert run(home, "task", lora_alpha=8, lora_rank=4) is Outcome.FINISHED
    yield home
    for number, handler in handlers.items():
        signal.signal(number, handler)


def settings(home: Path, **values: Any) -> LoRAConfig:
    base = home / values.get("from_weight", "base")
    few = {"data_path": "rows.jsonl", "from_weight": "base", "max_steps": 6, "batch_size": 8, "learning_rate": 2e-2}
    more = {"device": "cpu", "save_weight": "lora_test", "system_prompt_ratio": 0}
    config = parse_config("lora", base_sizes(base) | few | more | values)
    assert isinstance(config, LoRAConfig)
    return config


def run(home: Path, task: str, **values: Any) -> Outcome:
    from trainer.recipes.lora import train

    config = settings(home, **values)
    with Session.open(config, home / "out" / task, home, task, tracked=False) as session:
        return train(config, session)


def checkpoint(home: Path, task: str = "task") -> Path:
    newest = Checkpoints(home / "out" / task, 3).newest_good()
    assert newest is not None
    return newest.path


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.arange(30, 80)[None]).logits


def test_a_checkpoint_holds_adapters_only(home: Path) -> None:
    folder = checkpoint(home)
    assert {p.name for p in folder.iterdir() if p.suffix == ".safetensors"} == {"adapter_model.safetensors"}
    assert sum(t.numel() for t in load_file(folder / "adapter_model.safetensors").values()) == 4 * 2 * 4 * 64
    optimizer = folder / "trainer_state" / "optimizer.pt"
    assert optimizer.stat().st_size < 100_000 < (home / "base" / "model.safetensors").stat().st_size
    record = json.loads((folder / "base.json").read_text())
    assert (record["name"], record["path"]) == ("base", str(home / "base"))
    assert load_tokenizer(str(folder)).eos_token_id == 2


def test_a_version_tells_rank_base_and_trained_weights(home: Path) -> None:
    lines = [json.loads(line) for line in (home / "out" / "task" / "metrics.jsonl").read_text().splitlines()]
    [*_, last] = [line for line in lines if line["kind"] == "checkpoint"]
    model = load_folder(home / "base")
    assert last["tags"]["minimind.type"] == "lora"
    assert last["tags"]["minimind.lora_rank"] == "4"
    assert last["tags"]["minimind.trainable_parameters"] == "2048"
    assert last["tags"]["minimind.parameters"] == str(parameter_count(model) + 2048)
    assert last["tags"]["minimind.base"] == "base"
    assert last["tags"]["minimind.base_sha256"] == fingerprint(model)


def test_adapters_are_a_base_merged_into_their_own(home: Path) -> None:
    base = base_at(checkpoint(home), home / "out")
    words = load_tokenizer(str(home / "base"))
    config = parse_config("sft", {"data_path": "x"} | base_sizes(checkpoint(home)))
    model = build_model(config, words, base)
    assert trainable_count(model) == parameter_count(model) == parameter_count(load_folder(home / "base"))
    merged, plain = logits(model), logits(load_folder(home / "base"))
    assert (merged - plain).abs().max() > 0.01
    with_file = load_base(base_at(home / "out" / "lora_test_64.pth", home / "out"), words)
    torch.testing.assert_close(logits(with_file), merged, atol=2e-3, rtol=0)  # adapters of the file are half precision


def test_the_minimind_file_holds_the_scale_and_room_for_rank_16(home: Path) -> None:
    state, stored = (
        read_pth(home / "out" / "lora_test_64.pth"),
        load_file(checkpoint(home) / "adapter_model.safetensors"),
    )
    name = "model.layers.1.self_attn.o_proj"
    a, b = (stored[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
    ours_a, ours_b = state[f"{name}.lora.A.weight"], state[f"{name}.lora.B.weight"]
    assert ours_a.shape == (16, 64) and ours_b.shape == (64, 16)
    torch.testing.assert_close(ours_b.float() @ ours_a.float(), 2 * (b @ a), atol=1e-4, rtol=0)
    about = json.loads(sidecar(home / "out" / "lora_test_64.pth").read_text())
    assert about["type"] == "lora" and about["adapter_of"]["path"] == str(home / "base")


def test_no_minimind_file_of_layers_that_are_not_square(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="trainer"):
        run(home, "wide", lora_target_modules="q_proj,v_proj", save_weight="wide", max_steps=1)
    assert "No MiniMind LoRA file: it has adapters in square layers only, which v_proj are not." in caplog.text
    assert not list((home / "out").glob("wide_*"))


def test_adapters_on_adapters(home: Path) -> None:
    run(home, "second", from_weight="out/task/checkpoints/" + checkpoint(home).name, save_weight="")
    words = load_tokenizer(str(home / "base"))
    first, second = (logits(load_base(base_at(checkpoint(home, t), home / "out"), words)) for t in ("task", "second"))
    assert (first - second).abs().max() > 1e-3


def test_any_training_goes_on_from_adapters(home: Path) -> None:
    from trainer.recipes.sft import train

    first = checkpoint(home)
    values = base_sizes(first) | {"data_path": "rows.jsonl", "from_weight": str(first), "max_steps": 2, "device": "cpu"}
    config = parse_config("sft", values | {"save_weight": "", "learning_rate": 1e-2, "system_prompt_ratio": 0})
    with Session.open(config, home / "out" / "whole", home, "whole", tracked=False) as session:
        assert train(config, session) is Outcome.FINISHED  # type: ignore[arg-type]
    trained, plain = load_folder(checkpoint(home, "whole")), load_folder(home / "base")
    before = dict(plain.named_parameters())
    assert all(not torch.equal(p, before[name]) for name, p in trained.named_parameters() if "mlp" in name)


def changed(home: Path, tmp_path: Path, change: str) -> Path:
    """Another home with a trained task, whose base has changed since."""
    copy = tmp_path / "home"
    shutil.copytree(home / "base", copy / "base")
    shutil.copy(home / "rows.jsonl", copy)
    run(copy, "task")
    if change == "gone":
        shutil.rmtree(copy / "base")
    else:
        weights = load_file(copy / "base" / "model.safetensors")
        weights["model.norm.weight"][3] += 0.5
        save_file(weights, copy / "base" / "model.safetensors", metadata={"format": "pt"})
    return copy


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("gone", r"step_000006 need their base base, which is no longer at .*/base"),
        ("weights", r"step_000006 belong to base with weights of SHA-256 .*, but .*/base holds others"),
    ],
)
def test_a_base_that_is_gone_or_changed_is_refused(home: Path, tmp_path: Path, change: str, told: str) -> None:
    copy = changed(home, tmp_path, change)
    with pytest.raises(BaseModelError, match=told):
        load_base(base_at(checkpoint(copy), copy / "out"), load_tokenizer(str(home / "base")))
    with pytest.raises(BaseModelError, match=told.replace(" but .*/base", " but base")):
        run(copy, "task")  # a resume puts its adapters back on the base too


def test_adapters_of_others_are_to_be_merged_by_hand(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    shutil.copytree(checkpoint(home), folder, ignore=shutil.ignore_patterns("base.json", "config.json"))
    with pytest.raises(BaseModelError, match="nothing tells which base") as told:
        resolve_base(settings(home, from_weight=str(folder)), home)
    assert "minimind merge" in told.value.hint
    assert main(["merge", "--lora", str(folder), "--base", str(home / "base"), "--out", str(tmp_path / "merged")]) == 0


# The command line ----------------------------------------------------------------------------------------------------


def test_merge_writes_a_model_of_its_own(home: Path, tmp_path: Path) -> None:
    out, pth = tmp_path / "merged", tmp_path / "merged_64.pth"
    assert main(["merge", "--lora", str(checkpoint(home)), "--out", str(out), "--pth", str(pth)]) == 0
    words = load_tokenizer(str(home / "base"))
    expected = logits(load_base(base_at(checkpoint(home), home / "out"), words))
    torch.testing.assert_close(logits(load_folder(out)), expected, atol=0, rtol=0)
    torch.testing.assert_close(logits(load_pth(pth)), expected, atol=2e-2, rtol=0)  # weights in half precision
    assert not (out / "adapter_config.json").exists() and load_tokenizer(str(out)).eos_token_id == 2


def test_merge_into_a_place_that_cannot_be_written_says_so(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert main(["merge", "--lora", str(checkpoint(home)), "--out", str(tmp_path / "file" / "merged")]) == 1
    assert "cannot be written: [Errno 20] Not a directory" in capsys.readouterr().err


def test_merge_of_a_whole_model_says_that_it_is_none_of_adapters(
    home: Path, minimind: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (home / "base", minimind / "v3-dense" / "full_sft_64.pth"):
        assert main(["merge", "--lora", str(path), "--out", str(tmp_path / "merged")]) == 2
        assert f"{path} holds no adapters." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["base_64.pth", "base_64.json"])
def test_merge_replaces_no_weight_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / name).write_bytes(b"of another training")
    out, pth = tmp_path / "merged", tmp_path / "base_64.pth"
    assert main(["merge", "--lora", str(tmp_path / "lora"), "--out", str(out), "--pth", str(pth)]) == 2
    assert f"{tmp_path / name} exists already. Name another file for --pth." in capsys.readouterr().err


@pytest.mark.parametrize("name", FILES)
def test_merge_of_minimind_files(minimind: Path, tmp_path: Path, name: str) -> None:
    weights, lora, heads = FILES[name]
    paths = {"--base": minimind / name / weights, "--lora": minimind / name / lora, "--out": tmp_path / "merged"}
    words = ["--tokenizer", str(minimind / "v3-dense" / "transformers-qwen3"), "--heads", str(heads)]
    assert main(["merge", *(str(part) for pair in paths.items() for part in pair), *words]) == 0
    reference = load_file(minimind / name / "lora_reference.safetensors")
    with torch.no_grad():
        found = load_folder(tmp_path / "merged").eval()(reference["input_ids"]).logits[..., reference["vocab_sample"]]
    torch.testing.assert_close(found, reference["logits_sample"], atol=1e-4, rtol=0)


def test_merge_on_another_base_names_both(
    home: Path, minimind: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = minimind / "v2-dense" / "transformers-llama"
    words = ["--tokenizer", str(home / "base")]
    out = tmp_path / "merged"
    assert main(["merge", "--lora", str(checkpoint(home)), "--base", str(other), "--out", str(out), *words]) == 2
    told = capsys.readouterr().err
    assert "belong to base with model_type qwen3" in told and str(other) in told and "hidden_size 32" in told
    assert not out.exists()
    out.mkdir()
    assert main(["merge", "--lora", str(checkpoint(home)), "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
