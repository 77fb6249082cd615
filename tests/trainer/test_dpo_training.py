"""Preference optimisation from the command line: its reference outlives the base, and what cannot work is told."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from trainer.cli import main
from trainer.names import ExitCode
from trainer.spool import read_records

SIZES = "--hidden_size 16 --num_hidden_layers 1 --num_attention_heads 2 --num_key_value_heads 1"
SMALL = "--max_seq_len 96 --batch_size 4 --device cpu"


def train(type_name: str, options: str) -> int:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return main([type_name, *SMALL.split(), *options.split()])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with pairs, and a base out/full_sft_16.pth."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MINIMIND_HOME", str(tmp_path))
    turns = [[{"role": "user", "content": f"{i}+1?"}, {"role": "assistant", "content": str(i + 1)}] for i in range(10)]
    (tmp_path / "sft.jsonl").write_text("".join(json.dumps({"conversations": turn}) + "\n" for turn in turns))
    pairs = [{"chosen": turns[i], "rejected": [turns[i][0], turns[i - 1][1]]} for i in range(10)]
    (tmp_path / "dpo.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    assert train("sft", f"--data_path sft.jsonl --from_weight none --max_steps 1 {SIZES}") == ExitCode.FINISHED
    monkeypatch.setenv("MINIMIND_TASK_DIR", str(tmp_path / "out" / "task"))
    yield tmp_path


def dpo(steps: int, more: str = "") -> int:
    return train(
        "dpo",
        f"--data_path dpo.jsonl --hidden_size 16 --eval_fraction 0.2 --learning_rate 1e-2 --max_steps {steps} {more}",
    )


def result(home: Path) -> str:
    found = json.loads((home / "out" / "task" / "result.json").read_text())
    return f"{found['error']} {found['hint']}"


def events(home: Path) -> list[str]:
    records = (record for record, _ in read_records(home / "out" / "task" / "metrics.jsonl"))
    return [record["name"] for record in records if record["kind"] == "event"]


def test_a_resume_needs_neither_the_base_nor_a_second_reference(home: Path) -> None:
    assert dpo(1, "--beta 0.1 --use_compile 0 --num_workers 1") == ExitCode.FINISHED
    before = (home / "out" / "task" / "reference.npz").read_bytes()
    with np.load(home / "out" / "task" / "reference.npz") as kept:
        assert (kept["set0"].shape, kept["set1"].shape) == ((8, 2), (2, 2))
        assert (kept["set0"] < 0).all()
    assert json.loads((home / "out" / "dpo_16.json").read_text())["type"] == "dpo"
    (home / "out" / "full_sft_16.pth").unlink()
    assert dpo(2) == ExitCode.FINISHED
    assert (home / "out" / "task" / "reference.npz").read_bytes() == before
    assert events(home) == []


def test_a_lost_reference_is_made_again_by_the_same_base_only(home: Path) -> None:
    kept, base = home / "out" / "task" / "reference.npz", home / "out" / "full_sft_16.pth"
    assert dpo(1) == ExitCode.FINISHED
    before = kept.read_bytes()
    kept.write_bytes(before[:50])
    assert dpo(2) == ExitCode.FINISHED
    assert kept.read_bytes() == before
    assert events(home) == ["reference_again"]
    with (home / "dpo.jsonl").open("a") as file:  # another row count is another reference
        file.write(
            '{"chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]}'
        )
    (home / "out" / "dpo_16.pth").rename(base)
    assert dpo(3, "--force") == ExitCode.BAD_INPUT
    assert "The base full_sft has changed since this task began" in result(home)
    base.unlink()
    assert dpo(3, "--force") == ExitCode.BAD_INPUT
    assert "No weights for --from_weight full_sft" in result(home)


def test_a_model_to_start_from_is_needed_and_shards_are_refused(
    home: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert dpo(1, "--from_weight none") == ExitCode.BAD_INPUT
    assert dpo(1, "--num_processes 2 --parallel fsdp") == ExitCode.BAD_INPUT
    assert "--from_weight: Preferences are learned by a model that can answer already" in caplog.text
    assert "--parallel: Pairs do not work with fsdp. Set it to ddp." in caplog.text
