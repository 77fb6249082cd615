"""Bases, teachers and tokenizers: what fits together is told before the start, without any server."""

import json
import shutil

import pytest
from checked import ROWS, SHIPPED, TINY, problems, write_model

from minimind_platform import SettingsError
from minimind_platform.weights import Base
from trainer.checkpoints import Checkpoints
from trainer.tokenizer_files import tokenizer_fingerprint


def test_a_missing_base_of_adapters_is_not_to_be_replaced_by_none(platform):
    found = problems(platform, "lora", {"data_path": "s.jsonl"})
    assert "full_sft_768.pth" in found["from_weight"].message
    assert "none" not in found["from_weight"].message


@pytest.mark.parametrize(
    ("base", "word"),
    [
        ("models:/x", "models:/name/version"),
        ("models:/../1", "does not answer"),
        ("../../etc", "'..'"),
        ("/etc", "outside"),
        ("Qwen/Qwen3-0.6B", "There is no"),
        ("dataset/p.jsonl", "neither"),
        ("x" * 300, "cannot be read"),
    ],
)
def test_bases_that_cannot_be_used_are_told(platform, base, word):
    values = TINY | {"data_path": "p.jsonl", "from_weight": base}
    assert word in problems(platform, "pretrain", values)["from_weight"].message


def test_sizes_come_from_the_base_folder(platform):
    folder = platform.settings.out_dir / "base"
    folder.mkdir(parents=True)
    sizes = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = {"model_type": "qwen3", "vocab_size": 6400, "intermediate_size": 128, "tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(sizes | config))
    values = {"data_path": "p.jsonl", "from_weight": "out/base"}
    check = platform.check("pretrain", values | {"hidden_size": 768})
    assert check.problems == []
    assert check.preflight.parameters < 1e6
    assert "hidden_size" in problems(platform, "pretrain", values | {"hidden_size": 96})


def test_a_teacher_is_found_like_a_base_and_its_time_counts(platform):
    write_model(platform.settings.out_dir / "teacher", hidden_size=768)
    values = TINY | {"data_path": "s.jsonl", "from_weight": "none", "epochs": 1, "max_steps": 1000}
    check = platform.check("distill", values | {"from_teacher_weight": "out/teacher"})
    assert check.problems == []
    alone = platform.check("sft", values | {"max_seq_len": 340, "batch_size": 32}).preflight
    assert check.preflight.tokens_per_second < alone.tokens_per_second / 5
    assert check.preflight.parameters == alone.parameters


def test_minimind_s_names_of_sizes_can_contradict_the_base(platform):
    write_model(platform.settings.out_dir / "small", hidden_size=64)
    values = {"data_path": "s.jsonl", "from_teacher_weight": "out/small", "from_student_weight": "out/small"}
    assert problems(platform, "distill", values) == {}
    assert list(problems(platform, "distillation", values | {"student_hidden_size": 96})) == ["hidden_size"]


def test_a_missing_teacher_is_told_at_its_field(platform):
    values = TINY | {"data_path": "s.jsonl", "from_weight": "none"}
    check = platform.check("distill", values)
    assert [problem.field for problem in check.problems] == ["from_teacher_weight"]
    assert "full_sft_768_moe.pth" in check.problems[0].message and "none" not in check.problems[0].message
    assert check.preflight.rows == ROWS
    found = problems(platform, "distill", values | {"from_teacher_weight": "models:/m/1"})
    assert found["from_teacher_weight"].code == "tracking_unavailable"


def test_fetched_models_are_listed_and_can_be_started_from(platform):
    folder = platform.settings.out_dir / "hub" / "minimind-3-moe"
    half = platform.settings.out_dir / "hub" / "half"
    torch_files = platform.settings.out_dir / "hub" / "minimind-3-pytorch"
    for path in (folder, half, torch_files):
        path.mkdir(parents=True)
    (folder / "config.json").write_text('{"hidden_size": 768, "num_experts": 4}')
    (folder / "model.safetensors").write_bytes(b"12345")
    (half / "config.json").write_text("{}")
    (half / ".model.safetensors.0123.part").write_bytes(b"1")
    (torch_files / "full_sft_768.pth").write_bytes(b"x")
    listed = {w.name: (w.hidden_size, w.moe, w.bytes) for w in platform.weight_files()}
    assert listed == {
        "hub/minimind-3-moe": (768, True, 5),
        "hub/minimind-3-pytorch/full_sft_768.pth": (768, False, 1),
    }
    for name in listed:
        problems = platform.check("sft", {"data_path": "s.jsonl", "from_weight": f"out/{name}"}).problems
        assert not any("There is no" in problem.message for problem in problems), problems


def write_checkpoint(platform, run_id):
    """A checkpoint of a task, as it is on the disk and among MLflow's artifacts."""
    checkpoints = Checkpoints(platform.settings.task_dir(run_id), keep=1)
    config = {"model_type": "qwen3", "vocab_size": 6400, "hidden_size": 128, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 448}

    def write(folder):
        (folder / "config.json").write_text(json.dumps(config))

    for step in (1, 2):
        checkpoints.save(step, write, {})
    inside = checkpoints.at(1).relative
    artifacts = platform.settings.artifacts_dir / "1" / run_id / "artifacts" / inside
    shutil.copytree(checkpoints.at(1).path, artifacts)
    return checkpoints, artifacts


@pytest.mark.parametrize("where", ["task", "artifacts"])
def test_a_checkpoint_that_a_task_will_start_from_stays(platform, monkeypatch, where):
    checkpoints, artifacts = write_checkpoint(platform, "ab12")
    folder = artifacts if where == "artifacts" else checkpoints.at(1).path
    found = Base("models:/minimind-sft/1", folder)
    monkeypatch.setattr(platform._weights, "base", lambda text, *_: found if text == "base" else Base("none"))
    monkeypatch.setattr(platform._submits, "make", lambda *_, **__: None)
    values = TINY | {"data_path": "s.jsonl", "from_weight": "none"}
    assert [c.step for c in checkpoints.surplus(None)] == [1]
    platform.check("sft", values | {"from_weight": "base"})
    assert [c.step for c in checkpoints.surplus(None)] == [1]
    if where == "task":
        platform.submit("sft", values | {"from_weight": "base"})
    else:
        platform.submit("distill", values | {"from_teacher_weight": "base"})
    assert checkpoints.surplus(None) == []


def test_a_checkpoint_that_went_away_since_the_check_is_told(platform, monkeypatch):
    checkpoints, _ = write_checkpoint(platform, "ab12")
    gone = Base(str(checkpoints.at(1).path), checkpoints.at(1).path)
    keep = platform._checks.keep

    def removed_first(checked):
        checkpoints.remove(checkpoints.at(1))
        keep(checked)

    monkeypatch.setattr(platform._checks, "keep", removed_first)
    with pytest.raises(SettingsError) as caught:
        platform.submit("sft", TINY | {"data_path": "s.jsonl", "from_weight": gone.setting})
    assert caught.value.problems[0].field == "from_weight"
    assert "newer checkpoints" in caught.value.problems[0].message


def write_tokenizer(folder, family=""):
    """A copy of the shipped tokenizer with two words exchanged; of a model family, or generic."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads((SHIPPED / "tokenizer.json").read_text())
    words = content["model"]["vocab"]
    words["!"], words["$"] = words["$"], words["!"]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    settings = json.loads((SHIPPED / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(
        json.dumps(settings | ({"tokenizer_class": family} if family else {}))
    )
    return folder


def write_weights(platform, prefix, tokenizer):
    platform.settings.out_dir.mkdir(exist_ok=True)
    (platform.settings.out_dir / f"{prefix}_128.pth").write_bytes(b"weights")
    (platform.settings.out_dir / f"{prefix}_128.json").write_text(json.dumps({"tokenizer": tokenizer}))


@pytest.mark.parametrize("family", ["", "Qwen2Tokenizer"])
def test_a_teacher_with_other_words_is_refused_before_the_start(platform, family):
    teacher, student = (platform.settings.out_dir / name for name in ("teacher", "student"))
    for folder in (teacher, student):
        write_model(folder, hidden_size=64)
        write_tokenizer(folder, family)
    values = {"data_path": "s.jsonl", "from_teacher_weight": "out/teacher"}
    found = platform.check("distill", TINY | values | {"from_weight": "none"})
    assert [(p.field, p.code) for p in found.problems] == [("from_teacher_weight", "teacher_tokenizer")]
    assert found.preflight is not None
    for own in ({"from_weight": "out/student"}, TINY | {"from_weight": "none", "tokenizer_path": "out/student"}):
        assert problems(platform, "distill", values | own) == {}
    shutil.copy(SHIPPED / "tokenizer.json", student)
    assert list(problems(platform, "distill", values | {"from_weight": "out/student"})) == ["from_teacher_weight"]


def test_weight_files_and_tokenizers_belong_together(platform):
    ours, other = tokenizer_fingerprint(SHIPPED), write_tokenizer(platform.settings.out_dir / "words")
    write_weights(platform, "same", ours)
    write_weights(platform, "other", tokenizer_fingerprint(other))
    write_weights(platform, "silent", "")

    def codes(type_name, **values):
        found = platform.check(type_name, {"data_path": "s.jsonl", "hidden_size": 128} | values).problems
        return [(p.field, p.code) for p in found]

    assert codes("sft", from_weight="same") == []
    assert codes("sft", from_weight="other") == [("tokenizer_path", "tokenizer_of_other_base")]
    assert codes("sft", from_weight="other", tokenizer_path="out/words") == []
    assert codes("sft", from_weight="silent") == [("tokenizer_path", "tokenizer_unknown")]
    assert codes("sft", from_weight="silent", tokenizer_path="out/words") == []
    teacher = {"teacher_hidden_size": 128, "teacher_use_moe": False, "from_weight": "same"}
    assert codes("distill", from_teacher_weight="same", **teacher) == []
    assert codes("distill", from_teacher_weight="other", **teacher) == [("from_teacher_weight", "teacher_tokenizer")]
    silent = codes("distill", from_teacher_weight="silent", **teacher)
    assert silent == [("from_teacher_weight", "teacher_tokenizer_unknown")]
    write_model(platform.settings.out_dir / "model", hidden_size=64)
    write_tokenizer(platform.settings.out_dir / "model")
    assert codes("sft", from_weight="out/model", hidden_size=64) == []
    named = {"from_weight": "out/model", "hidden_size": 64, "tokenizer_path": "out/copy"}
    shutil.copytree(SHIPPED, platform.settings.out_dir / "copy")
    assert codes("sft", **named) == [("tokenizer_path", "tokenizer_not_of_base")]
