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
from trainer.configs import parse_config
from trainer.errors import BaseModelError

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
VALUES = SIZES | {
    "max_seq_len": 32,
    "batch_size": 4,
    "accumulation_steps": 1,
    "max_steps": 12,
    "device": "cpu",
    "model_name": "by-hand",
}


def train(home: Path, tracking_uri: str, **values: Any) -> subprocess.CompletedProcess[str]:
    (home / "rows.jsonl").write_text("".join(f'{{"text": "Row {n} of a few."}}\n' for n in range(40)))
    options = [part for k, v in (VALUES | values).items() for part in (f"--{k}", str(v))]
    command = [sys.executable, "-m", "trainer", "pretrain", "--data_path", "rows.jsonl", *options]
    environment = {**os.environ, "MINIMIND_HOME": str(home), "MLFLOW_TRACKING_URI": tracking_uri}
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=120)


def test_a_training_by_hand_is_a_whole_run(
    tracking: Any, mlflow: Callable[..., dict[str, Any]], tmp_path: Path
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

    again = train(tmp_path, tracking.tracking, from_weight="models:/by-hand@last")
    assert again.returncode == 0, again.stdout


def test_a_server_that_is_away_stops_no_training(free_port: Callable[[], int], tmp_path: Path) -> None:
    done = train(tmp_path, f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 0, done.stdout
    assert "No tracking" in done.stdout
    [result] = [json.loads(p.read_text()) for p in tmp_path.glob("out/*/result.json")]
    assert (result["outcome"], result["step"]) == ("finished", 12)


def test_a_registered_base_without_a_server_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = parse_config("sft", {"data_path": "x", "from_weight": "models:/by-hand/1"})
    with pytest.raises(BaseModelError, match="needs a tracking server"):
        resolve_base(config, tmp_path)
