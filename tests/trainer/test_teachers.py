"""Teachers from every kind of place; those that do not fit are refused before anything is trained."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.cli import main
from trainer.names import ExitCode
from trainer.spool import read_records
from trainer.tokenization import train_tokenizer

SIZES = {"--hidden_size": 16, "--num_hidden_layers": 1, "--num_attention_heads": 2, "--num_key_value_heads": 1}
SMALL = ["--max_seq_len", "96", "--batch_size", "4", "--device", "cpu"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with data and three models: `full_sft` of width 16, and teachers of width 24, dense and mixed."""
    home = tmp_path_factory.mktemp("home")
    answers = ["<think>\n2 + 2 is 4\n</think>\n<answer>\n4\n</answer>", "<think>\nno\n</think>\n<answer>\n5\n</answer>"]
    rows = [
        {"conversations": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": answer}]}
        for answer in answers * 10
    ]
    (home / "sft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIMIND_HOME", str(home))
        for sizes in (SIZES, SIZES | {"--hidden_size": 24}, SIZES | {"--hidden_size": 24, "--use_moe": 1}):
            arguments = [str(part) for pair in sizes.items() for part in pair]
            assert train("sft", "--from_weight", "none", "--max_steps", "1", *arguments) == ExitCode.FINISHED
    return home


def train(type_name: str, *options: str) -> int:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return main([type_name, "--data_path", "sft.jsonl", *SMALL, *options])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.fixture
def home(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MINIMIND_HOME", str(trained))
    monkeypatch.setenv("MINIMIND_TASK_DIR", str(tmp_path / "task"))
    yield trained


def told(tmp_path: Path) -> str:
    result = json.loads((tmp_path / "task" / "result.json").read_text())
    assert result["error_class"] == "base"
    assert not (tmp_path / "task" / "checkpoints").exists()
    return f"{result['error']} {result['hint']}"


def checkpoint_of(home: Path, width: int) -> str:
    for config in home.glob("out/*/checkpoints/*/config.json"):
        if json.loads(config.read_text())["hidden_size"] == width:
            return str(config.parent)
    raise AssertionError(width)


STUDENT = ["--student_hidden_size", "16", "--student_num_layers", "1", "--from_student_weight", "full_sft"]


def test_minimind_s_own_command_line_distils(home: Path, tmp_path: Path) -> None:
    teacher = ["--teacher_hidden_size", "24", "--teacher_use_moe", "1", "--from_teacher_weight", "full_sft"]
    more = ["--teacher_num_layers", "1", "--student_use_moe", "0", "--alpha", "0.3", "--temperature", "2"]
    assert train("distillation", *STUDENT, *teacher, *more, "--max_steps", "2") == ExitCode.FINISHED
    records = [r for r, _ in read_records(tmp_path / "task" / "metrics.jsonl") if r["kind"] == "metrics"]
    first = next(r["values"] for r in records if "train/loss" in r["values"])
    assert first["train/loss"] == pytest.approx(0.3 * first["train/ce_loss"] + 0.7 * first["train/kl_loss"], rel=1e-5)
    assert json.loads((tmp_path / "full_dist_16.json").read_text())["type"] == "distill"
    config = json.loads((tmp_path / "task" / "config.json").read_text())["config"]
    assert (config["from_weight"], config["hidden_size"], config["num_hidden_layers"]) == ("full_sft", 16, 1)


@pytest.mark.parametrize("place", ["folder", "file"])
def test_a_teacher_may_be_a_folder_or_a_file(home: Path, tmp_path: Path, place: str) -> None:
    teacher = checkpoint_of(home, 24) if place == "folder" else "out/full_sft_24_moe.pth"
    assert train("distill", *STUDENT, "--from_teacher_weight", teacher, "--max_steps", "1") == ExitCode.FINISHED


def test_a_teacher_may_be_adapters_on_their_base(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = str(home / "out" / "full_sft_24.pth")
    assert train("lora", "--from_weight", base, "--hidden_size", "24", "--max_steps", "1") == ExitCode.FINISHED
    adapters = str(next((tmp_path / "task").glob("checkpoints/step_*")))
    monkeypatch.setenv("MINIMIND_TASK_DIR", str(tmp_path / "pupil"))
    for steps in ("1", "2"):  # the second goes on from the first
        arguments = ["--from_teacher_weight", adapters, "--max_steps", steps]
        assert train("distill", *STUDENT, *arguments) == ExitCode.FINISHED
    assert (Path(adapters) / "in_use").exists(), "its own task could remove it between two attempts"


def test_a_missing_teacher_is_named(home: Path, tmp_path: Path) -> None:
    assert train("distill", *STUDENT, "--from_teacher_weight", "nobody") == ExitCode.BAD_INPUT
    assert "--from_teacher_weight nobody" in told(tmp_path) and "nobody_768_moe.pth" in told(tmp_path)


def test_another_number_of_layers_is_refused(home: Path, tmp_path: Path) -> None:
    teacher = ["--from_teacher_weight", "out/full_sft_24.pth", "--teacher_num_layers", "8"]
    assert train("distill", *STUDENT, *teacher) == ExitCode.BAD_INPUT
    assert "has 1 layers, but teacher_num_layers says 8" in told(tmp_path)


def test_a_teacher_with_other_words_is_refused_and_both_are_named(home: Path, tmp_path: Path) -> None:
    text = "\n\n".join(f"word {n} and word {n * 7}, again and again" for n in range(60))
    (tmp_path / "text.txt").write_text(text)
    other = train_tokenizer([tmp_path / "text.txt"], tmp_path / "other", vocab_size=300)
    student = ["--hidden_size", "16", "--num_hidden_layers", "1", "--num_attention_heads", "2"]
    student += ["--num_key_value_heads", "1", "--from_weight", "none", "--tokenizer_path", str(other)]
    folder = checkpoint_of(home, 24)
    assert train("distill", *student, "--from_teacher_weight", folder) == ExitCode.BAD_INPUT
    assert f"{folder} has another tokenizer (6400 entries" in told(tmp_path)
    assert f"({other}, 300 entries" in told(tmp_path)
    assert train("distill", *student, "--from_teacher_weight", "out/full_sft_24.pth") == ExitCode.BAD_INPUT
    assert "out/full_sft_24.pth has another tokenizer" in told(tmp_path)


def test_a_teacher_that_tells_no_tokenizer_needs_one_named(home: Path, tmp_path: Path, minimind: Path) -> None:
    teacher = str(minimind / "v3-dense" / "full_sft_64.pth")
    student = ["--hidden_size", "16", "--num_hidden_layers", "1", "--num_attention_heads", "2"]
    student += ["--num_key_value_heads", "1", "--from_weight", "none", "--max_steps", "1"]
    assert train("distill", *student, "--from_teacher_weight", teacher) == ExitCode.BAD_INPUT
    assert "does not tell which tokenizer" in told(tmp_path)
    own = str(minimind / "v3-dense" / "transformers-qwen3")
    arguments = [*student, "--from_teacher_weight", teacher, "--tokenizer_path", own]
    assert train("distill", *arguments) == ExitCode.FINISHED


@pytest.mark.parametrize("change", ["same", "moved", "changed", "gone"])
def test_a_resume_needs_the_same_teacher(home: Path, tmp_path: Path, change: str) -> None:
    from trainer.minimind_files import read_pth, write_pth

    teacher, state = tmp_path / "teacher.pth", read_pth(home / "out" / "full_sft_24.pth")
    write_pth(state, teacher)
    teacher.with_suffix(".json").write_text((home / "out" / "full_sft_24.json").read_text())
    arguments = [*STUDENT, "--from_teacher_weight", str(teacher)]
    assert train("distill", *arguments, "--max_steps", "1") == ExitCode.FINISHED
    if change == "changed":
        state["model.norm.weight"] = state["model.norm.weight"] * 1.5
        write_pth(state, teacher)
    if change == "gone":
        teacher.unlink()
    if change == "moved":
        arguments[-1] = "out/full_sft_24.pth"
    code = train("distill", *arguments, "--max_steps", "2")
    assert code == (ExitCode.FINISHED if change in ("same", "moved") else ExitCode.BAD_INPUT)
    result = json.loads((tmp_path / "task" / "result.json").read_text())
    says = {"changed": f"The teacher {teacher} has changed since this task began", "gone": "No weights for"}
    assert says.get(change, "") in result["error"]


# Reasoning data on the command line ---------------------------------------------------------------------------------


def test_reason_trains_and_records_both_losses(home: Path, tmp_path: Path) -> None:
    sizes = ["--hidden_size", "16", "--num_hidden_layers", "1"]
    assert train("reason", *sizes, "--max_steps", "2", "--tag_weight", "5") == ExitCode.FINISHED
    records = [r for r, _ in read_records(tmp_path / "task" / "metrics.jsonl") if r["kind"] == "metrics"]
    first = next(r["values"] for r in records if "train/loss" in r["values"])
    assert 1.5 < first["train/loss"] / first["train/ce_loss"] < 5
    assert (tmp_path / "reason_16.pth").is_file()
