"""The trainer without the platform: it opens and closes a run of its own where a tracking server is named."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.bases import resolve_base
from trainer.cli import main
from trainer.configs import parse_config
from trainer.errors import BaseModelError
from trainer.names import ExitCode

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
VALUES = SIZES | {
    "max_seq_len": 32,
    "batch_size": 4,
    "accumulation_steps": 1,
    "max_steps": 12,
    "device": "cpu",
    "model_name": "by-hand",
}


def options(home: Path, type_name: str, **values: Any) -> list[str]:
    """The command line of a training on a few rows, which are written to the home."""
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    row = {"text": "A row of a few."} if type_name == "pretrain" else {"conversations": turns}
    (home / "rows.jsonl").write_text((json.dumps(row) + "\n") * 40)
    chosen = {"data_path": home / "rows.jsonl"} | VALUES | values
    return [type_name, *(part for k, v in chosen.items() for part in (f"--{k}", str(v)))]


def train(
    home: Path, tracking_uri: str, type_name: str = "pretrain", **values: Any
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainer", *options(home, type_name, **values)]
    environment = {**os.environ, "MINIMIND_HOME": str(home), "MLFLOW_TRACKING_URI": tracking_uri}
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=120)


def test_a_training_by_hand_is_a_whole_run(
    tracking: Any, mlflow: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = train(tmp_path, tracking.tracking)
    assert done.returncode == 0, done.stdout
    [task] = [p.parent for p in tmp_path.glob("out/*/result.json")]
    run = mlflow("runs/get", run_id=task.name)["run"]
    assert run["info"]["status"] == "FINISHED"
    assert {p["key"]: p["value"] for p in run["data"]["params"]}["max_steps"] == "12"
    history = mlflow("metrics/get-history", run_id=task.name, metric_key="train/loss")["metrics"]
    assert sorted(int(m["step"]) for m in history) == list(range(1, 13))
    model = mlflow("registered-models/get", name="by-hand")["registered_model"]
    assert {a["alias"] for a in model["aliases"]} == {"best", "last"}
    assert not (tmp_path / "mlflow.db").exists() and not (tmp_path / "mlruns").exists()

    base = "models:/by-hand@last"
    more = {"from_weight": base, "model_name": "by-hand-lora", "lora_rank": 2, "max_steps": 2, "system_prompt_ratio": 0}
    again = train(tmp_path, tracking.tracking, "lora", **more)
    assert again.returncode == 0, again.stdout
    found = mlflow("registered-models/alias", name="by-hand-lora", alias="last")["model_version"]
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    assert (tags["minimind.type"], tags["minimind.base"], tags["minimind.lora_rank"]) == ("lora", base, "2")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.tracking)
    values = {"data_path": "x", "from_weight": "models:/by-hand-lora@last"}
    adapters = resolve_base(parse_config("sft", values), tmp_path)
    assert adapters.under is not None and adapters.under.path is not None
    assert adapters.under.path.is_relative_to(task)


@pytest.mark.fault("tracking server down for good")
def test_a_server_that_is_away_stops_no_training(
    free_port: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MINIMIND_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    assert main(options(tmp_path, "pretrain")) == ExitCode.FINISHED, caplog.text
    assert "No tracking" in caplog.text
    [result] = [json.loads(p.read_text()) for p in tmp_path.glob("out/*/result.json")]
    assert (result["outcome"], result["step"]) == ("finished", 12)


def test_a_registered_base_without_a_server_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = parse_config("sft", {"data_path": "x", "from_weight": "models:/by-hand/1"})
    with pytest.raises(BaseModelError, match="needs a tracking server"):
        resolve_base(config, tmp_path)
