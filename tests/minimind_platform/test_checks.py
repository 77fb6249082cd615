"""Checks and preflight of settings, on a real home folder and without any server."""

import gzip
import json
import re
import shutil
from dataclasses import replace
from typing import Annotated

import pyarrow
import pytest
from pyarrow import parquet

from minimind_platform import Platform, Settings, SettingsError, TrackingUnavailableError, datasets, row_samples
from minimind_platform.cli_text import takes
from minimind_platform.preflight import SHIPPED_TOKENIZER, Plan, estimate
from minimind_platform.tasks import Progress, State, Task
from minimind_platform.weights import Base
from trainer.checkpoints import Checkpoints
from trainer.configs import TRAINING_TYPES, SFTConfig, parse_config
from trainer.fields import params_of
from trainer.presets import PRESETS
from trainer.reward_specs import DEFAULT_REWARDS, RewardList
from trainer.shared_config import Setting
from trainer.tokenizer_files import tokenizer_fingerprint

TINY = PRESETS["tiny"].values
ROWS = 300
CLOSED_PORT = 1
SHIPPED = SHIPPED_TOKENIZER.parent


@pytest.fixture
def platform(tmp_path):
    data = tmp_path / "dataset"
    data.mkdir()
    (data / "p.jsonl").write_text('{"text": "今天天气很好, a nice day."}\n' * ROWS)
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    (data / "s.jsonl").write_text((json.dumps({"conversations": turns}) + "\n") * ROWS)
    (data / "empty.jsonl").write_text("")
    (data / "broken.jsonl").write_text('{"text": "x"}\n{"text": \n')
    return Platform(Settings(home=tmp_path, tracking_port=CLOSED_PORT))


def problems(platform, type_name, values):
    return {problem.field: problem for problem in platform.check(type_name, values).problems}


def test_good_settings_have_no_problem_and_a_preflight(platform):
    check = platform.check("pretrain", TINY | {"data_path": "p.jsonl", "batch_size": 10, "accumulation_steps": 1})
    assert check.problems == []
    assert check.preflight.rows == ROWS
    assert check.preflight.steps == 2 * 30
    assert 1.2e6 < check.preflight.parameters < 1.4e6
    assert 5 * ROWS < check.preflight.tokens < 40 * ROWS
    assert check.preflight.seconds > 0
    assert check.preflight.estimated_from == ""


def test_more_processes_than_the_machine_has_are_refused(platform, monkeypatch):
    values = TINY | {"data_path": "p.jsonl", "batch_size": 1000}
    monkeypatch.setattr("trainer.problems.cores", lambda: 4)
    assert "num_processes" not in problems(platform, "pretrain", values | {"num_processes": 4})
    many = problems(platform, "pretrain", values | {"num_processes": 5})["num_processes"]
    assert (many.code, many.values) == ("more_than_cores", {"processes": 5, "cores": 4})
    monkeypatch.setattr("minimind_platform.checks.gpus", lambda: ("one", "two"))
    many = problems(platform, "pretrain", values | {"num_processes": 3})["num_processes"]
    assert (many.code, many.values) == ("more_than_gpus", {"processes": 3, "gpus": 2})
    assert "num_processes" not in problems(platform, "pretrain", values | {"num_processes": 3, "device": "cpu"})


def test_rows_are_cut_and_steps_are_limited(platform):
    values = TINY | {"data_path": "p.jsonl", "max_seq_len": 8, "max_steps": 3, "keep_checkpoints": 1}
    preflight = platform.check("pretrain", values).preflight
    assert preflight.tokens == 8 * ROWS
    assert preflight.steps == 3
    assert preflight.disk_bytes == pytest.approx(2 * 12 * preflight.parameters, rel=0.2)


@pytest.fixture
def lora(platform):
    """Settings of adapters on a described weight file."""
    out = platform.settings.out_dir
    out.mkdir()
    (out / "full_sft_128.pth").write_bytes(b"weights")
    sizes = {"architecture": "v3", "num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 448}
    about = {"sizes": sizes | {"hidden_size": 128, "num_hidden_layers": 2, "use_moe": False}}
    about["tokenizer"] = tokenizer_fingerprint(SHIPPED)
    (out / "full_sft_128.json").write_text(json.dumps(about))
    return {"data_path": "s.jsonl", "hidden_size": 128, "keep_checkpoints": 1}


def test_adapters_take_little_disk_and_say_how_much_is_trained(platform, lora):
    check = platform.check("lora", lora)
    assert check.problems == []
    assert check.preflight.trainable == 2 * 2 * 2 * 16 * 128
    assert check.preflight.parameters > 1_200_000
    assert check.preflight.disk_bytes == 2 * (12 * check.preflight.trainable + 1_500_000)


def test_the_plan_of_a_training_by_rewards_tells_what_is_written_and_no_time(platform, lora):
    turns = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": ""}]
    long = [{"role": "user", "content": "2+2? " * 100}, {"role": "assistant", "content": ""}]
    rows = [{"conversations": turns, "gt": ["4"]}] * 90 + [{"conversations": long, "gt": ["4"]}] * 10
    (platform.settings.home / "dataset" / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = lora | {"data_path": "r.jsonl", "max_seq_len": 64, "max_gen_len": 16, "batch_size": 4, "epochs": 2}
    check = platform.check("grpo", values | {"num_generations": 8, "accumulation_steps": 2, "eval_fraction": 0.1})
    found = check.preflight
    assert check.problems == []
    assert (found.rows, found.steps) == (90, 2 * 11)  # 81 of 90 prompts, 8 a step
    assert (found.answers_a_step, found.written_a_step) == (64, 1024)
    assert (found.seconds, found.tokens_per_second) == (None, None)
    alone = platform.check("grpo", values | {"beta": 0}).preflight
    critic = platform.check("ppo", values).preflight
    assert alone.memory_bytes == 16 * alone.parameters
    assert found.memory_bytes == alone.memory_bytes + 4 * alone.parameters
    assert critic.memory_bytes == 36 * alone.parameters
    assert (critic.answers_a_step, critic.disk_bytes > 1.8 * alone.disk_bytes) == (4, True)
    told = takes(found)
    assert "64 answers with at most 1024 tokens" in told and "None" not in told


def test_speed_is_not_learned_from_a_training_by_rewards(platform):
    values = TINY | {"data_path": "s.jsonl", "from_weight": "none"}
    plan = platform._checks.plan(platform._checks.run("sft", values))
    progress = Progress(step=1, total_steps=2, tokens_per_second=123.0)
    for kind, base, source in (("sft", "none", "a" * 32), ("grpo", "/out/full_sft_128.pth", "")):
        config = values | {"from_weight": base}
        done = Task("a" * 32, "t", kind, State.FINISHED, config, 1.0, device="cpu:0", progress=progress)
        assert estimate(plan, [done]).estimated_from == source


def test_pairs_are_two_rows_each_and_their_settings_are_told_of(platform, lora):
    turns = [[{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": text}] for text in "45"]
    rows = [{"chosen": turns[0], "rejected": turns[1]}] * 40
    (platform.settings.home / "dataset" / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    check = platform.check("dpo", lora | {"data_path": "d.jsonl", "max_seq_len": 20})
    assert check.problems == []
    assert (check.preflight.rows, check.preflight.tokens) == (40, 40 * 2 * 20)
    assert [item.code for item in check.advice] == ["dpo_rate_too_small", "dpo_few_held_out"]
    check = platform.check("dpo", lora | {"data_path": "d.jsonl", "eval_fraction": "x"})
    assert [item.field for item in check.problems + check.advice] == ["eval_fraction", "learning_rate"]


def test_layers_that_the_base_does_not_have_are_told_before_the_start(platform, lora):
    problem = problems(platform, "lora", lora | {"lora_target_modules": "q_proj,query"})["lora_target_modules"]
    assert problem.code == "unknown_target_modules"
    assert "no linear layers named query. It has down_proj, gate_proj, k_proj" in problem.message


def test_a_missing_base_of_adapters_is_not_to_be_replaced_by_none(platform):
    found = problems(platform, "lora", {"data_path": "s.jsonl"})
    assert "full_sft_768.pth" in found["from_weight"].message
    assert "none" not in found["from_weight"].message


def test_all_problems_come_at_once(platform):
    found = problems(
        platform, "sft", {"data_path": "none.jsonl", "epochs": "many", "colour": "red", "from_weight": "x"}
    )
    assert {"data_path", "epochs", "colour", "from_weight"} <= set(found)


def test_the_preflight_stays_when_only_the_base_is_missing(platform):
    check = platform.check("sft", {"data_path": "s.jsonl"})
    assert [problem.field for problem in check.problems] == ["from_weight"]
    assert "pretrain_768.pth" in check.problems[0].message
    assert "from_weight to none" in check.problems[0].message
    assert check.preflight.rows == ROWS


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("s.jsonl", "data_format"),
        ("empty.jsonl", "data_unusable"),
        ("broken.jsonl", "data_unusable"),
        ("none.jsonl", "not_found"),
        ("/etc/passwd", "path_refused"),
        ("dataset", "path_refused"),
    ],
)
def test_data_that_cannot_be_used_is_told_at_its_field(platform, name, code):
    assert problems(platform, "pretrain", {"data_path": name})["data_path"].code == code


@pytest.mark.parametrize("values", [{}, {"data_path": None}, {"data_path": 5}, {"data_path": "p.jsonl", "dtype": []}])
def test_bad_values_never_raise(platform, values):
    assert platform.check("pretrain", values).problems


def test_an_unknown_type_is_a_problem(platform):
    assert problems(platform, "kt0", {})[""].code == "unknown_type"


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


def write_model(folder, **sizes):
    folder.mkdir(parents=True)
    config = {"model_type": "qwen3", "vocab_size": 6400, "intermediate_size": 2432, "tie_word_embeddings": True}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4, "num_hidden_layers": 8}
    (folder / "config.json").write_text(json.dumps(config | heads | sizes))


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


@pytest.mark.parametrize("type_name", ["sft", "reason", "distill"])
def test_conversations_are_data_of_every_type_that_learns_from_them(platform, type_name):
    assert "data_path" not in problems(platform, type_name, TINY | {"data_path": "s.jsonl"})
    problem = problems(platform, type_name, {"data_path": "p.jsonl"})["data_path"]
    assert problem.code == "data_format" and "Choose other data or another type." in problem.message


def test_other_problems_are_told_while_the_registry_is_away(platform):
    values = {"data_path": "none.jsonl", "from_weight": "models:/m/1"}
    assert {"data_path", "from_weight"} == set(problems(platform, "pretrain", values))
    with pytest.raises(TrackingUnavailableError):
        platform.submit("pretrain", values | {"data_path": "p.jsonl"})


def test_submit_says_all_problems(platform):
    with pytest.raises(SettingsError) as caught:
        platform.submit("pretrain", {"data_path": "none.jsonl", "epochs": 0}, name="x" * 101)
    assert {problem.field for problem in caught.value.problems} == {"data_path", "epochs", "name"}


def test_submit_without_a_tracking_server_leaves_nothing(platform):
    with pytest.raises(TrackingUnavailableError):
        platform.submit("pretrain", TINY | {"data_path": "p.jsonl"})
    assert platform.tasks().total == 0
    assert not platform.settings.out_dir.exists()


def test_the_speed_is_that_of_a_task_like_it(platform):
    config = parse_config("pretrain", TINY | {"data_path": "p.jsonl", "device": "cpu"})
    plan = platform._checks.plan(platform._checks.run("pretrain", config.model_dump()))
    progress = Progress(tokens_per_second=1234.0)
    like = Task("a", "a", "pretrain", State.FINISHED, config.model_dump(), 0.0, device="cpu:0", progress=progress)
    large = replace(like, id="b", config=config.model_dump() | {"hidden_size": 512})
    on_gpu = replace(like, id="c", device="cuda:0")
    assert isinstance(plan, Plan)
    assert estimate(plan, [large, on_gpu, like]).estimated_from == "a"
    assert estimate(plan, [large, on_gpu, like]).tokens_per_second == 1234.0
    assert estimate(plan, [large, on_gpu]).estimated_from == ""


def test_a_distillation_is_measured_by_one_with_a_teacher_like_its_own(platform):
    out = platform.settings.out_dir
    for name, width in (("teacher", 768), ("like", 760), ("small", 64)):
        write_model(out / name, hidden_size=width)
    values = TINY | {"data_path": "s.jsonl", "from_weight": "none", "device": "cpu"}
    values |= {"from_teacher_weight": str(out / "teacher")}
    config = parse_config("distill", values)
    plan = platform._checks.plan(platform._checks.run("distill", config.model_dump()))
    progress = Progress(tokens_per_second=1234.0)
    same = Task("a", "a", "distill", State.FINISHED, config.model_dump(), 0.0, device="cpu:0", progress=progress)

    def other(teacher):
        return replace(same, id="b", config=config.model_dump() | {"from_teacher_weight": teacher})

    alone = replace(same, type="sft", config=parse_config("sft", TINY | {"data_path": "s.jsonl"}).model_dump())
    for task, expected in ((same, "a"), (other(str(out / "like")), "b"), (other(str(out / "small")), ""),
                           (other("models:/m/1"), ""), (alone, "")):  # fmt: skip
        assert estimate(plan, [task]).estimated_from == expected
    pupil = platform._checks.plan(platform._checks.run("sft", alone.config | {"from_weight": "none"}))
    assert estimate(pupil, [same, other("models:/m/1")]).estimated_from == ""


def test_a_large_file_is_sampled(platform):
    path = platform.settings.data_dir / "large.jsonl"
    row = json.dumps({"text": "hello world " * 50}) + "\n"
    path.write_text(row * 20_000)
    preflight = platform.check("pretrain", TINY | {"data_path": "large.jsonl"}).preflight
    assert preflight.rows == 20_000
    assert preflight.tokens > 20_000 * 50


def test_listings(platform):
    (platform.settings.out_dir).mkdir()
    (platform.settings.out_dir / "pretrain_512_moe.pth").write_bytes(b"x")
    (platform.settings.out_dir / "odd.pth").write_bytes(b"x")
    assert [(d.name, d.rows, d.format) for d in platform.datasets()][2:] == [
        ("p.jsonl", ROWS, "pretrain"),
        ("s.jsonl", ROWS, "sft"),
    ]
    weights = {w.name: (w.hidden_size, w.moe) for w in platform.weight_files()}
    assert weights == {"pretrain_512_moe.pth": (512, True), "odd.pth": (None, False)}
    assert platform.devices()[:2] == ["auto", "cpu"]
    assert set(platform.training_types()) == set(TRAINING_TYPES)
    assert "tiny" in platform.presets()


def write_kinds(folder):
    """The same 300 rows as files of every kind."""
    raw = (folder / "p.jsonl").read_bytes()
    (folder / "p.jsonl.gz").write_bytes(gzip.compress(raw))
    (folder / "p.jsonl.zst").write_bytes(pyarrow.Codec("zstd").compress(raw, asbytes=True))
    parquet.write_table(
        pyarrow.Table.from_pylist([json.loads(line) for line in raw.splitlines()]), folder / "p.parquet"
    )


def test_every_kind_of_file_is_listed_and_estimated(platform):
    data = platform.settings.data_dir
    write_kinds(data)
    listed = {d.name: (d.rows, d.format, d.files) for d in platform.datasets()}
    tokens = set()
    for name in ("p.jsonl", "p.jsonl.gz", "p.jsonl.zst", "p.parquet"):
        assert listed[name] == (ROWS, "pretrain", 0)
        check = platform.check("pretrain", TINY | {"data_path": name})
        assert (check.problems, check.preflight.rows) == ([], ROWS)
        tokens.add(check.preflight.tokens)
    assert len(tokens) == 1


def test_folders_of_one_format_are_data_sets(platform):
    data = platform.settings.data_dir
    (data / "set").mkdir()
    (data / "p.jsonl").rename(data / "set" / "p.jsonl")
    write_kinds(data / "set")
    (data / "mixed").mkdir()
    for name in ("s.jsonl", "set/p.jsonl"):
        (data / "mixed" / name.removeprefix("set/")).write_bytes((data / name).read_bytes())
    listed = {d.path: (d.name, d.rows, d.format, d.files) for d in platform.datasets()}
    assert listed["dataset/set"] == ("set/", 4 * ROWS, "pretrain", 4)
    assert "dataset/mixed" not in listed and "dataset/mixed/s.jsonl" in listed
    check = platform.check("pretrain", TINY | {"data_path": "dataset/set"})
    assert (check.problems, check.preflight.rows) == ([], 4 * ROWS)
    wrong = problems(platform, "pretrain", {"data_path": "dataset/mixed"})["data_path"]
    assert wrong.code == "data_unusable"
    assert "dataset/mixed/s.jsonl line 1: no text" in wrong.message


def test_a_damaged_file_is_listed_without_rows_and_told_at_its_field(platform):
    data = platform.settings.data_dir
    for name in ("a.jsonl.gz", "b.jsonl.zst", "c.parquet"):
        (data / name).write_bytes(b"no such thing")
        assert (
            "dataset/" + name + " is damaged"
            in problems(platform, "pretrain", {"data_path": name})["data_path"].message
        )
    listed = {d.name: (d.rows, d.format) for d in platform.datasets()}
    assert {listed[name] for name in ("a.jsonl.gz", "b.jsonl.zst", "c.parquet")} == {(None, "")}


def test_large_data_is_sampled_whatever_its_kind(platform, monkeypatch):
    data = platform.settings.data_dir
    write_kinds(data)
    exact = platform.check("pretrain", TINY | {"data_path": "p.jsonl"}).preflight
    for name in ("COUNTED_BYTES", "COUNTED_PACKED", "SMALL_FILE"):
        monkeypatch.setattr(row_samples, name, 1000)
    fresh = Platform(platform.settings)
    for name in ("p.jsonl", "p.jsonl.gz", "p.jsonl.zst", "p.parquet"):
        found = fresh.check("pretrain", TINY | {"data_path": name}).preflight
        assert found.rows == pytest.approx(ROWS, rel=0.1) or name.endswith(("gz", "zst"))
        assert found.tokens / found.rows == pytest.approx(exact.tokens / exact.rows, rel=0.1)


def test_files_that_cannot_be_chosen_are_not_listed(platform, tmp_path, monkeypatch):
    data = platform.settings.data_dir
    (tmp_path / "secret.jsonl").write_text('{"text": "x"}\n')
    (data / "leak.jsonl").symlink_to(tmp_path / "secret.jsonl")
    (data / "inner.jsonl").symlink_to(data / "p.jsonl")
    found = datasets._data_sets
    monkeypatch.setattr(datasets, "_data_sets", lambda folder: [*found(folder), folder / "vanished.jsonl"])
    count = datasets.count_rows

    def counted(path):
        if path.name == "s.jsonl":
            raise PermissionError(13, "Permission denied")
        return count(path)

    monkeypatch.setattr(datasets, "count_rows", counted)
    listed = {d.name: (d.rows, d.format) for d in platform.datasets()}
    assert set(listed) == {"p.jsonl", "s.jsonl", "empty.jsonl", "broken.jsonl", "inner.jsonl"}
    assert listed["s.jsonl"] == (None, "")
    assert listed["inner.jsonl"] == (ROWS, "pretrain")


def test_a_retry_with_one_key_makes_one_task(platform, monkeypatch):
    keys = []
    monkeypatch.setattr(platform, "task", lambda _id: Task("a", "a", "pretrain", State.FAILED, {}, 0.0))
    monkeypatch.setattr(platform, "submit", lambda *_, key, **__: keys.append(key))
    platform.retry("a", "k1")
    platform.retry("a")
    assert keys == ["k1", ""]


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


class RewardedConfig(SFTConfig):
    """A type with rewards."""

    type = "rewarded"
    title = "Rewarded"
    rewards: Annotated[RewardList, Setting("rewards", kind="rewards")] = DEFAULT_REWARDS
    """What is rewarded."""


def test_a_reward_model_is_a_folder_that_may_be_read(platform, monkeypatch):
    monkeypatch.setitem(TRAINING_TYPES, "rewarded", RewardedConfig)
    folder = platform.settings.home / "dataset" / "judge"
    folder.mkdir()

    def check(path):
        values = {
            "data_path": "s.jsonl",
            "from_weight": "none",
            "rewards": [{"kind": "tags"}, {"kind": "model", "path": path}],
        }
        return problems(platform, "rewarded", TINY | values)

    for path, cause in (("judge", "not_found"), ("gone", "not_found"), ("/etc", "path_refused")):
        problem = check(path)["rewards"]
        assert (problem.values["number"], problem.values["option"], problem.values["cause"]) == (2, "path", cause)
    (folder / "config.json").write_text("{}")
    assert check("judge") == {}
    checked = platform._checks.run(
        "rewarded", {"data_path": "s.jsonl", "rewards": '[{"kind": "model", "path": "judge"}]'}
    )
    assert checked.config.rewards[0].path == str(folder)
    assert params_of(checked.config)["rewards"] == f"model ×1 (path {folder})"


def test_data_without_right_answers_is_told_before_the_start(platform, monkeypatch):
    monkeypatch.setitem(TRAINING_TYPES, "rewarded", RewardedConfig)
    monkeypatch.setattr(RewardedConfig, "data_format", "rlaif")
    file = platform.settings.home / "dataset" / "sums.jsonl"
    asked = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": ""}]
    values = TINY | {"data_path": "sums.jsonl", "from_weight": "none"}
    for gt, words in (
        (["2"], ""),
        ([], "line 2.*no right answers in gt"),
        (["two"], r"line 2.*\['two'\] holds no number"),
    ):
        rows = [{"conversations": asked, "gt": ["2"]}, {"conversations": asked, "gt": gt}]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found = problems(platform, "rewarded", values)
        assert list(found) == (["data_path"] if words else [])
        assert re.search(words, found["data_path"].message if words else "")
        assert problems(platform, "rewarded", values | {"rewards": '[{"kind": "tags"}]'}) == {}
        assert list(problems(platform, "rewarded", values | {"rewards": '[{"kind": "tag"}]'})) == ["rewards"]
