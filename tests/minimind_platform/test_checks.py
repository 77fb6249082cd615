"""Checks and preflight of settings, on a real home folder and without any server."""

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace
from typing import Annotated

import pytest
from checked import ROWS, SHIPPED, TINY, problems, write_model

from minimind_platform import SettingsError, TrackingUnavailableError
from minimind_platform.cli_text import takes
from minimind_platform.preflight import Plan, estimate
from minimind_platform.tasks import Progress, State, Task
from trainer.configs import TRAINING_TYPES, SFTConfig, parse_config
from trainer.fields import params_of
from trainer.reward_specs import DEFAULT_REWARDS, RewardList
from trainer.shared_config import Setting
from trainer.tokenizer_files import tokenizer_fingerprint


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
    kept = platform.check("grpo", values).preflight
    assert kept.memory_bytes - alone.memory_bytes == (4 + 2) * alone.parameters
    assert critic.memory_bytes > 18 * 2 * alone.parameters
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


def test_the_speed_is_rather_that_of_the_same_type(platform):
    values = TINY | {"data_path": "s.jsonl", "device": "cpu", "from_weight": "none"}
    plan = platform._checks.plan(platform._checks.run("sft", values))
    progress = Progress(tokens_per_second=1234.0)
    config = parse_config("sft", values).model_dump()
    same = Task("a", "sft before", "sft", State.FINISHED, config, 0.0, device="cpu:0", progress=progress)
    other = replace(same, id="b", type="pretrain", config=parse_config("pretrain", values).model_dump())
    found = estimate(plan, [other, same])
    assert (found.estimated_from, found.estimated_name) == ("a", "sft before")
    assert estimate(plan, [other]).estimated_from == "b"


def test_the_time_of_a_training_by_rewards_is_that_of_one_like_it(platform, lora):
    rows = [{"conversations": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": ""}], "gt": ["4"]}]
    (platform.settings.home / "dataset" / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows * 20))
    values = lora | {"data_path": "r.jsonl", "device": "cpu", "max_gen_len": 16}
    plan = platform._checks.plan(platform._checks.run("grpo", values))
    config = plan.config.model_dump()
    like = Task("a", "a", "grpo", State.FINISHED, config, 0.0, device="cpu:0", started_at=100.0, ended_at=148.0)
    like = replace(like, progress=Progress(step=20, total_steps=20))
    longer = replace(like, id="b", config=config | {"max_gen_len": 64})
    found = estimate(plan, [replace(like, type="spo"), longer, like])
    assert (found.estimated_from, found.seconds) == ("a", pytest.approx(8 + 2 * found.steps))
    assert estimate(plan, [longer, replace(like, device="cuda:0"), replace(like, attempt=2)]).seconds is None


@pytest.mark.fault("disk full at a checkpoint")
def test_checkpoints_that_the_disk_has_no_room_for_are_told(platform, monkeypatch):
    values = TINY | {"data_path": "p.jsonl"}
    found = platform.check("pretrain", values).preflight
    assert found.free_disk_bytes > found.disk_bytes
    assert not found.too_much
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=found.disk_bytes - 1))
    short = platform.check("pretrain", values).preflight
    assert short.too_much
    assert "less room" in takes(short)


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


def test_a_retry_with_one_key_makes_one_task(platform, monkeypatch):
    keys = []
    monkeypatch.setattr(platform, "task", lambda _id: Task("a", "a", "pretrain", State.FAILED, {}, 0.0))
    monkeypatch.setattr(platform, "submit", lambda *_, key, **__: keys.append(key))
    platform.retry("a", "k1")
    platform.retry("a")
    assert keys == ["k1", ""]


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
