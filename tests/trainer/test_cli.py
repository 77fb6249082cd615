"""The trainer's command line, on real files in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from trainer.cli import main
from trainer.configs import TRAINING_TYPES
from trainer.names import ExitCode

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
SMALL = SIZES | {"max_seq_len": 64, "batch-size": 4, "device": "cpu"}
TINY = [part for name, value in SMALL.items() for part in (f"--{name}", str(value))]
TEXTS = [
    "The cat sat on the mat and looked at the rain.",
    "今天天气很好，我们去公园散步。",
    "Two and two make four.",
] * 8


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MINIMIND_TASK_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MINIMIND_HOME", str(tmp_path))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    write_rows(tmp_path / "pretrain.jsonl", [{"text": text} for text in TEXTS])
    chat = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
    write_rows(tmp_path / "sft.jsonl", [{"conversations": chat}] * 20)
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)


def write_rows(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def result(home: Path) -> dict[str, Any]:
    newest = max(home.glob("out/*/result.json"), key=lambda p: p.stat().st_mtime)
    return json.loads(newest.read_text())


def test_pretrain_then_sft_by_minimind_s_names(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--epochs", "1", "--num_workers", "8", "--use_wandb"]
    assert main(["pretrain", "--data_path", "pretrain.jsonl", *options, *TINY]) == ExitCode.FINISHED
    assert (home / "out" / "pretrain_16.pth").is_file()
    assert result(home)["outcome"] == "finished"
    # The default base of SFT is `pretrain`: out/pretrain_16.pth
    assert main(["full_sft", "--data_path", "sft.jsonl", "--epochs", "1", *TINY]) == ExitCode.FINISHED
    assert (home / "out" / "full_sft_16.pth").is_file()
    finished = result(home)
    assert (finished["outcome"], finished["error"]) == ("finished", "")
    assert finished["step"] == finished["total_steps"] == 5


@pytest.mark.parametrize("type_name", TRAINING_TYPES)
def test_help_lists_every_setting_and_loads_no_torch(type_name: str) -> None:
    show = f"from trainer.cli import make_parser; make_parser({type_name!r}).print_help()"
    code = f"import sys; {show}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in TRAINING_TYPES[type_name].model_fields:
        assert f"--{name}" in done.stdout
    assert done.stdout.endswith("False\n")


def test_all_bad_settings_are_told_at_once(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["sft", "--epochs", "0", "--hidden_size", "99", "--dtype", "int4"]) == ExitCode.BAD_INPUT
    for name in ("--data_path", "--epochs", "--hidden_size", "--dtype"):
        assert any(name in line for line in caplog.messages), name


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (None, "no file"),
        ("", "empty"),
        ('{"text": "ok"}\n{"text": "cut\n', "line 2"),
        ('{"text": "ok"}\n{"words": "x"}\n', "line 2"),
        ('{"text": null}\n', "line 1"),
    ],
)
def test_bad_data_is_named_before_training(
    home: Path, caplog: pytest.LogCaptureFixture, rows: str | None, says: str
) -> None:
    if rows is not None:
        (home / "bad.jsonl").write_text(rows)
    assert main(["pretrain", "--data_path", "bad.jsonl", *TINY]) == ExitCode.BAD_INPUT
    told = result(home)
    assert told["error_class"] == "data"
    assert "bad.jsonl" in told["error"] and says.lower() in told["error"].lower(), told["error"]
    assert not list(home.glob("out/*/checkpoints"))


def test_a_base_of_another_size_is_refused(home: Path) -> None:
    assert main(["pretrain", "--data_path", "pretrain.jsonl", "--epochs", "1", *TINY]) == ExitCode.FINISHED
    base = "out/pretrain_16.pth"
    assert (
        main(["sft", "--data_path", "sft.jsonl", "--from_weight", base, *TINY, "--hidden_size", "32"])
        == ExitCode.BAD_INPUT
    )
    assert "--hidden_size: 32 contradicts the base" in result(home)["error"] and "have 16" in result(home)["error"]


def test_a_file_that_tells_nothing_but_shapes_is_refused_by_them(home: Path, minimind: Path) -> None:
    weight = str(minimind / "v3-dense" / "full_sft_64.pth")
    own = str(minimind / "v3-dense" / "transformers-qwen3")
    sizes = ["--hidden_size", "32", "--num_hidden_layers", "2", "--device", "cpu"]
    arguments = ["sft", "--data_path", "sft.jsonl", "--from_weight", weight, "--tokenizer_path", own, *sizes]
    assert main(arguments) == ExitCode.BAD_INPUT
    assert "hidden_size 64" in result(home)["error"] and "hidden_size 32" in result(home)["error"]


def test_sizes_of_a_prefix_come_from_its_description(home: Path) -> None:
    deep = ["--num_hidden_layers", "3", "--use_moe", "1", "--num_experts", "3", "--num_experts_per_tok", "2"]
    assert main(["pretrain", "--data_path", "pretrain.jsonl", "--epochs", "1", *TINY, *deep]) == ExitCode.FINISHED
    arguments = ["--data_path", "sft.jsonl", "--epochs", "1", "--max_seq_len", "64", "--device", "cpu"]
    assert main(["sft", *arguments, "--hidden_size", "16", "--use_moe", "1"]) == ExitCode.FINISHED
    newest = max(home.glob("out/*/config.json"), key=lambda p: p.stat().st_mtime)
    config = json.loads(newest.read_text())["config"]
    assert (config["num_hidden_layers"], config["num_experts"], config["num_experts_per_tok"]) == (3, 3, 2)


def test_longer_positions_go_from_stage_to_stage(home: Path) -> None:
    yarn = ["--inference_rope_scaling", "1"]
    few = ["--max_steps", "1", "--max_seq_len", "64", "--device", "cpu"]
    assert main(["pretrain", "--data_path", "pretrain.jsonl", *TINY, *few, *yarn]) == ExitCode.FINISHED
    told = json.loads((home / "out" / "pretrain_16.json").read_text())["sizes"]
    assert told["inference_rope_scaling"] is True
    sft = ["sft", "--data_path", "sft.jsonl", *few, "--hidden_size", "16"]
    for more, expected in (([], True), (["--inference_rope_scaling", "0"], False), (yarn, True)):
        assert main([*sft, *more]) == ExitCode.FINISHED  # the last from a base without
        newest = max(home.glob("out/*/checkpoints/*/config.json"), key=lambda p: p.stat().st_mtime_ns)
        assert (json.loads(newest.read_text())["rope_parameters"]["rope_type"] == "yarn") == expected
        sft += ["--from_weight", "full_sft"] if "--from_weight" not in sft else []


def test_sizes_of_a_folder_around_us_are_no_base(home: Path) -> None:
    (home / "config.json").write_text('{"model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 3}')
    assert main(["pretrain", "--data_path", "pretrain.jsonl", "--epochs", "1", *TINY]) == ExitCode.FINISHED


def test_other_llamas_are_not_written_as_minimind_files(home: Path) -> None:
    from transformers import AutoModelForCausalLM, LlamaConfig

    from trainer.tokenization import load_tokenizer

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = LlamaConfig(**sizes, vocab_size=6400, rope_theta=10_000.0, tie_word_embeddings=True)
    AutoModelForCausalLM.from_config(config).save_pretrained(home / "llama")
    load_tokenizer(None).save_pretrained(home / "llama")
    arguments = ["--from_weight", "llama", "--max_seq_len", "64", "--device", "cpu", "--epochs", "1"]
    assert main(["pretrain", "--data_path", "pretrain.jsonl", *arguments]) == ExitCode.FINISHED
    assert not list(home.glob("out/*.pth"))


def test_two_trainers_never_share_a_task_directory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.session import lock_of

    task = home / "out" / "busy"
    task.mkdir(parents=True)
    monkeypatch.setenv("MINIMIND_TASK_DIR", str(task))
    held = lock_of(task)
    assert held is not None
    assert main(["pretrain", "--data_path", "pretrain.jsonl", *TINY]) == ExitCode.FAILED
    assert [p.name for p in task.iterdir()] == [".trainer.lock"]
    os.close(held)


def test_sizes_come_from_the_base_when_left_out(home: Path) -> None:
    assert main(["pretrain", "--data_path", "pretrain.jsonl", "--epochs", "1", *TINY]) == ExitCode.FINISHED
    checkpoint = max(home.glob("out/*/checkpoints/step_*"))
    arguments = ["--data_path", "sft.jsonl", "--epochs", "1", "--max_seq_len", "64", "--device", "cpu"]
    for base in (checkpoint, home / "out" / "pretrain_16.pth"):
        assert main(["sft", "--from_weight", str(base), *arguments]) == ExitCode.FINISHED


def test_a_weight_of_another_tokenizer_is_refused(home: Path, minimind: Path) -> None:
    weight = minimind / "v3-dense" / "full_sft_64.pth"
    sizes = ["--hidden_size", "64", "--num_hidden_layers", "2", "--intermediate_size", "256", "--device", "cpu"]
    arguments = ["sft", "--data_path", "sft.jsonl", "--from_weight", str(weight), "--epochs", "1", *sizes]
    assert main(arguments) == ExitCode.BAD_INPUT
    assert "does not tell which tokenizer" in result(home)["error"]
    own = str(minimind / "v3-dense" / "transformers-qwen3")
    assert main([*arguments, "--tokenizer_path", own]) == ExitCode.FINISHED
    exported = str(home / "out" / "full_sft_64.pth")
    arguments[arguments.index(str(weight))] = exported
    assert main(arguments) == ExitCode.BAD_INPUT
    assert "trained with another tokenizer" in result(home)["error"]


def start(home: Path, *more: str) -> subprocess.Popen[bytes]:
    arguments = ["--data_path", "pretrain.jsonl", "--epochs", "400", "--save_interval", "100000", *TINY, *more]
    environment = {**os.environ, "MINIMIND_HOME": str(home)}
    log = (home / "log.txt").open("ab")
    command = [sys.executable, "-m", "trainer", "pretrain", *arguments]
    return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def wait_for(path: Path, text: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while text not in path.read_text():
        assert time.monotonic() < deadline and process.poll() is None, path.read_text()
        time.sleep(0.05)


def test_sigterm_saves_and_from_resume_goes_on(home: Path) -> None:
    process = start(home)
    wait_for(home / "log.txt", "step=", process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == ExitCode.STOPPED
    stopped = result(home)
    assert stopped["outcome"] == "stopped"
    step = stopped["step"]
    assert 0 < step < stopped["total_steps"]
    task = next(p.parent for p in home.glob("out/*/result.json"))
    assert [p.name for p in (task / "checkpoints").iterdir()] == [f"step_{step:06d}"]
    again = start(home, "--from_resume", "1")
    wait_for(home / "log.txt", f"Going on at step {step}", again)
    wait_for(task / "metrics.jsonl", f'"step": {step + 1}, "values": {{"train/loss"', again)
    again.send_signal(signal.SIGTERM)
    assert again.wait(30) == ExitCode.STOPPED
    assert result(home)["step"] > step
    assert len(list(home.glob("out/*/config.json"))) == 1
